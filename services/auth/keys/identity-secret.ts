import { createHmac } from 'node:crypto';
import { join } from 'node:path';
import { readIfPresent } from '#libs/files/read-text.ts';
import { keysFolder, type SigningKey } from './signing-key.ts';

/**
 * What identity tokens and fingerprints are made with: the file `identity.key` beside the keys, or where there is
 * none, what follows from the oldest key.
 * @returns 32 bytes
 */
export async function loadIdentitySecret(
  stateFolder: string,
  [oldest]: readonly [SigningKey, ...SigningKey[]],
): Promise<Buffer> {
  const own = await readIdentitySecret(stateFolder);
  if (own !== undefined) return own;
  const pem = oldest.privateKey.export({ type: 'pkcs8', format: 'pem' });
  return createHmac('sha256', pem).update('portcullis identity').digest();
}

/** What stands in the file `identity.key`; undefined where there is none. @throws Error if it is something else */
export async function readIdentitySecret(stateFolder: string): Promise<Buffer | undefined> {
  const path = join(keysFolder(stateFolder), 'identity.key');
  const text = (await readIfPresent(path))?.trim();
  if (text === undefined) return undefined;
  if (!/^[0-9a-f]{64}$/.test(text)) throw new Error(`${path} is not 64 hexadecimal digits`);
  return Buffer.from(text, 'hex');
}
