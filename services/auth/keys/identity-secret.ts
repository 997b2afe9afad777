import { createHmac } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
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
  const path = join(keysFolder(stateFolder), 'identity.key');
  try {
    const text = (await readFile(path, 'utf8')).trim();
    if (!/^[0-9a-f]{64}$/.test(text)) throw new Error(`${path} is not 64 hexadecimal digits`);
    return Buffer.from(text, 'hex');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    const pem = oldest.privateKey.export({ type: 'pkcs8', format: 'pem' });
    return createHmac('sha256', pem).update('portcullis identity').digest();
  }
}
