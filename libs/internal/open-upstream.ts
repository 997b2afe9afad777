import { readFile } from 'node:fs/promises';
import type { InternalListener, InternalSettings } from '#libs/config/internal-settings.ts';
import type { Logger } from '#libs/log/logger.ts';
import { createInternalClient, type InternalClient } from './client.ts';
import { followInstances, type Instances } from './instances.ts';
import { type PeerCheck, trustAnyPeer, trustNoPeer, trustSignedRequests } from './peer-check.ts';
import { createRequestSigner, type RequestSigner } from './signature.ts';

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
  const authorities = await Promise.all(settings.authorities.map(readTlsFile));
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
  const [cert, key] = await Promise.all([readTlsFile(tls.certificate), readTlsFile(tls.key)]);
  return { cert, key };
}

async function readTlsFile(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    const { message } = error as Error;
    throw new Error(`portcullis.internal: ${path} cannot be read: ${message}`, { cause: error });
  }
}
