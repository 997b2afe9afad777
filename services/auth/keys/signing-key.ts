import {
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  X509Certificate,
} from 'node:crypto';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { exportJWK, type JWK } from 'jose';
import { libtrustFingerprint, thumbprint } from '#libs/auth/key-ids.ts';
import { describeUnreadable, readRegularFile } from '#libs/files/read-text.ts';

/** A key that signs tokens: EC P-256, for ES256. */
export interface SigningKey {
  /** RFC 7638 thumbprint of the public key. */
  kid: string;
  /** The fingerprint by which distribution 2.8 looks up keys. */
  libtrustKid: string;
  privateKey: KeyObject;
  /** With `kid`, `alg` and `use`, as it is published. */
  publicJwk: JWK;
  /** By the authority of these keys; undefined for a key without one. */
  certificate: X509Certificate | undefined;
  /** When it begins to sign, in milliseconds since the epoch. */
  from: number;
  /** Of its file; empty for one without. */
  path: string;
}

/** The folder in auth's state that holds them. */
export function keysFolder(stateFolder: string): string {
  return join(stateFolder, 'keys');
}

/** The name of a key's file, and with it when it begins to sign. */
export function fileNameFor(from: Date): string {
  return `${from.toISOString().replace(/[-:]|\.\d+/g, '')}.pem`;
}

/**
 * The keys of auth's state folder, in the order in which they sign.
 * @param onUseless told of one that cannot be used, which is then left out
 * @throws Error naming a useless one, unless somebody is told
 */
export async function loadKeys(
  stateFolder: string,
  onUseless?: (error: Error) => void,
): Promise<SigningKey[]> {
  const folder = keysFolder(stateFolder);
  let names: string[];
  try {
    names = (await readdir(folder)).filter((name) => name.endsWith('.pem')).sort();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw new Error(`the signing keys cannot be read: ${(error as Error).message}`, {
      cause: error,
    });
  }
  const read = names.map(async (name) => {
    try {
      return await readKey(join(folder, name), beginOf(name));
    } catch (error) {
      if (onUseless === undefined) throw error;
      onUseless(error as Error);
      return [];
    }
  });
  return (await Promise.all(read)).flat().sort((a, b) => a.from - b.from);
}

/** A key that dies with this process. */
export async function createTemporaryKey(): Promise<SigningKey> {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  return await toSigningKey(privateKey, { from: 0, certificate: undefined, path: '' });
}

/** A file of another name signs from the beginning of time. */
function beginOf(name: string): number {
  const match = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z\.pem$/.exec(name);
  if (match === null) return 0;
  const [year = 0, month = 1, day = 1, hour = 0, minute = 0, second = 0] = match
    .slice(1)
    .map(Number);
  return Date.UTC(year, month - 1, day, hour, minute, second);
}

async function readKey(path: string, from: number): Promise<SigningKey> {
  try {
    const privateKey = toPrivateKey(await readRegularFile(path));
    const pem = await readRegularFile(path.replace(/\.pem$/, '.crt')).catch(() => undefined);
    const certificate = pem === undefined ? undefined : new X509Certificate(pem);
    if (certificate?.checkPrivateKey(privateKey) === false) {
      throw new Error('the certificate beside it is for another key');
    }
    return await toSigningKey(privateKey, { from, certificate, path });
  } catch (error) {
    throw new Error(`the signing key ${path} cannot be used: ${describeUnreadable(error)}`, {
      cause: error,
    });
  }
}

/** @throws Error saying what to do, where OpenSSL has a number */
function toPrivateKey(pem: Buffer): KeyObject {
  try {
    return createPrivateKey(pem);
  } catch (error) {
    const what = 'it holds no private key in PEM form; put it back, or remove it to go on without';
    throw new Error(what, { cause: error });
  }
}

async function toSigningKey(
  privateKey: KeyObject,
  rest: Pick<SigningKey, 'from' | 'certificate' | 'path'>,
): Promise<SigningKey> {
  const publicKey = createPublicKey(privateKey);
  const jwk = await exportJWK(publicKey);
  if (jwk.crv !== 'P-256') throw new Error('it is not an EC P-256 key');
  const kid = await thumbprint(publicKey);
  const publicJwk = { ...jwk, kid, alg: 'ES256', use: 'sig' };
  return { kid, libtrustKid: libtrustFingerprint(publicKey), privateKey, publicJwk, ...rest };
}
