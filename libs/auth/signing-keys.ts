import {
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
} from 'node:crypto';
import { link, mkdir, open, readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { calculateJwkThumbprint, exportJWK, type JWK } from 'jose';

/** A key that signs tokens: EC P-256, for ES256. */
export interface SigningKey {
  /** RFC 7638 thumbprint of the public key. */
  kid: string;
  privateKey: KeyObject;
  /** With `kid`, `alg` and `use`, as it is published. */
  publicJwk: JWK;
}

/** The keys of auth's state folder; the first signs, all verify. */
export async function loadKeys(stateFolder: string): Promise<SigningKey[]> {
  const folder = join(stateFolder, 'keys');
  let names: string[];
  try {
    names = (await readdir(folder)).filter((name) => name.endsWith('.pem')).sort();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw new Error(`the signing keys in ${folder} cannot be read: ${(error as Error).message}`, {
      cause: error,
    });
  }
  return await Promise.all(names.map((name) => readKey(join(folder, name))));
}

/**
 * Makes the first signing key, unless there is one: of two that start at once, one wins.
 * @returns the path of the key
 * @throws Error with one clear sentence if the folder cannot be written
 */
export async function createFirstKey(stateFolder: string): Promise<string> {
  const folder = join(stateFolder, 'keys');
  const target = join(folder, 'first.pem');
  const temporary = join(folder, `.new-${process.pid}`);
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  try {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    const handle = await open(temporary, 'w', 0o600);
    try {
      await handle.writeFile(privateKey.export({ type: 'pkcs8', format: 'pem' }));
      await handle.sync();
    } finally {
      await handle.close();
    }
    await link(temporary, target);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') {
      throw new Error(
        `portcullis.auth.state: ${stateFolder} cannot be written (${(error as Error).message}); name another folder, or put keys there with: portcullis keys create`,
        { cause: error },
      );
    }
  } finally {
    await rm(temporary, { force: true });
  }
  return target;
}

/** A key that dies with this process. */
export async function createTemporaryKey(): Promise<SigningKey> {
  return await toSigningKey(generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey);
}

async function readKey(path: string): Promise<SigningKey> {
  try {
    return await toSigningKey(createPrivateKey(await readFile(path)));
  } catch (error) {
    throw new Error(`the signing key ${path} cannot be used: ${(error as Error).message}`, {
      cause: error,
    });
  }
}

async function toSigningKey(privateKey: KeyObject): Promise<SigningKey> {
  const jwk = await exportJWK(createPublicKey(privateKey));
  if (jwk.crv !== 'P-256') throw new Error('it is not an EC P-256 key');
  const kid = await calculateJwkThumbprint(jwk);
  return { kid, privateKey, publicJwk: { ...jwk, kid, alg: 'ES256', use: 'sig' } };
}
