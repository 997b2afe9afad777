import type { Logger } from '#libs/log/logger.ts';
import { readAuthorities } from '#libs/tls/certificate-files.ts';
import { createInternalClient, type InternalClient } from './client.ts';
import { followInstances, type Instances } from './instances.ts';
import type { InternalSettings } from './settings.ts';
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
  const authorities = await readAuthorities(settings.authorities, 'portcullis.internal.rootcas');
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
