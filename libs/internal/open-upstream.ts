import { readText } from '#libs/files/read-text.ts';
import { type PeerCheck, trustAnyPeer, trustNoPeer } from '#libs/http/peer-check.ts';
import type { Logger } from '#libs/log/logger.ts';
import type { InternalAddress } from './address.ts';
import { createInternalClient, type InternalClient } from './client.ts';
import { followInstances, type Instances } from './instances.ts';
import { createRequestSigner, type RequestSigner, trustSignedRequests } from './signature.ts';

/** How our processes reach each other. */
export interface InternalSettings {
  core: InternalListener;
  auth: InternalListener;
  /** Where gateways find the cores. */
  cores: InternalAddress[];
  /** Where gateways and cores find the token services. */
  auths: InternalAddress[];
  /** `http.secret`: proves to a process on another machine that a request comes from one of ours. */
  secret: string | undefined;
  /** Files. */
  tls: { certificate: string; key: string } | undefined;
  /** Files of the authorities that sign the others' certificates; empty: the system's. */
  authorities: string[];
}

export interface InternalListener {
  listen: { socket: string } | { host?: string; port: number };
  /** Whether others come by a Unix socket, and need no proof. */
  isPrivate: boolean;
}

/** The way to all processes of one kind. */
export interface Upstream {
  instances: Instances;
  client: InternalClient;
  /** Undefined where the way itself proves who we are. */
  signer: RequestSigner | undefined;
  close(): void;
}

/**
 * Opens the way to the cores or to the token services.
 * @throws Error if a file of `portcullis.internal` cannot be read
 */
export async function openUpstream(
  kind: 'core' | 'auth',
  settings: InternalSettings,
  log: Logger,
): Promise<Upstream> {
  const addresses = kind === 'core' ? settings.cores : settings.auths;
  const authorities = await Promise.all(settings.authorities.map(read));
  const ca = authorities.length === 0 ? undefined : authorities;
  const instances = await followInstances({ addresses, kind, ca, log });
  const { secret } = settings;
  const remote = addresses.some((address) => address.kind === 'tcp');
  const signer = remote && secret !== undefined ? createRequestSigner(secret) : undefined;
  return {
    instances,
    client: createInternalClient({ instances, signer }),
    signer,
    close: () => instances.close(),
  };
}

/** Whose internal headers a process trusts that listens at this address. */
export function peerCheckOf(
  { isPrivate }: InternalListener,
  { secret }: InternalSettings,
): PeerCheck {
  if (isPrivate) return trustAnyPeer;
  return secret === undefined ? trustNoPeer : trustSignedRequests(createRequestSigner(secret));
}

/** The certificate of a process that others reach from other machines. */
export async function loadInternalTls(
  { isPrivate }: InternalListener,
  { tls }: InternalSettings,
): Promise<{ cert: string; key: string } | undefined> {
  if (isPrivate || tls === undefined) return undefined;
  const [cert, key] = await Promise.all([read(tls.certificate), read(tls.key)]);
  return { cert, key };
}

const read = (path: string) => readText(path, 'portcullis.internal');
