import { readFile } from 'node:fs/promises';
import type { HopListener, HopSettings } from '#libs/config/hop-settings.ts';
import type { Logger } from '#libs/log/logger.ts';
import { createHopClient, type HopClient } from './client.ts';
import { believeAll, believeNone, believeSigned, type HopGuard } from './guard.ts';
import { followInstances, type Instances } from './instances.ts';
import { createHopSigner, type HopSigner } from './signature.ts';

/** The way to all processes of one kind. */
export interface Hop {
  instances: Instances;
  client: HopClient;
  /** Undefined where the way itself proves who we are. */
  signer: HopSigner | undefined;
  close(): void;
}

/**
 * Opens the way to the cores or to the token services.
 * @throws Error if a file of `portcullis.hop` cannot be read
 */
export async function openHop(
  kind: 'core' | 'auth',
  settings: HopSettings,
  log: Logger,
): Promise<Hop> {
  const addresses = kind === 'core' ? settings.cores : settings.auths;
  const authorities = await Promise.all(settings.authorities.map(readHopFile));
  const ca = authorities.length === 0 ? undefined : authorities;
  const instances = await followInstances({ addresses, kind, ca, log });
  const { secret } = settings;
  const remote = addresses.some((address) => address.kind === 'tcp');
  const signer = remote && secret !== undefined ? createHopSigner(secret) : undefined;
  return {
    instances,
    client: createHopClient({ instances, signer }),
    signer,
    close: () => instances.close(),
  };
}

/** Whom a process believes that is reached at this address. */
export function guardOf({ isPrivate }: HopListener, { secret }: HopSettings): HopGuard {
  if (isPrivate) return believeAll;
  return secret === undefined ? believeNone : believeSigned(createHopSigner(secret));
}

/** The certificate of a process that others reach from other machines. */
export async function loadHopTls(
  { isPrivate }: HopListener,
  { tls }: HopSettings,
): Promise<{ cert: string; key: string } | undefined> {
  if (isPrivate || tls === undefined) return undefined;
  const [cert, key] = await Promise.all([readHopFile(tls.certificate), readHopFile(tls.key)]);
  return { cert, key };
}

async function readHopFile(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    const { message } = error as Error;
    throw new Error(`portcullis.hop: ${path} cannot be read: ${message}`, { cause: error });
  }
}
