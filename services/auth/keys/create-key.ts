import { execFile } from 'node:child_process';
import { generateKeyPairSync, randomBytes, randomUUID } from 'node:crypto';
import { link, mkdtemp, open, rm, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { promisify } from 'node:util';
import { exists } from '#libs/files/exists.ts';
import { makeFolders } from '#libs/files/make-folders.ts';
import { howToMakeWritable } from '#libs/files/make-writable.ts';
import { syncFolder } from '#libs/files/sync-folder.ts';
import { fileNameFor, keysFolder } from './signing-key.ts';

const openssl = promisify(execFile);

/** Days that certificates of keys are good for; whoever trusts the authority need not be told of a new key. */
const validity = '3650';

/**
 * Makes what the first token service needs, unless it is there: a signing key, its authority, and the secret of
 * identity tokens. Of two that start at once, one wins.
 * @returns the path of the key
 * @throws Error with one clear sentence if the folder cannot be written
 */
export async function createFirstKey(stateFolder: string): Promise<string> {
  return await createKey(stateFolder, 'first.pem');
}

/**
 * Makes a key that begins to sign at a time.
 * @returns the path of the key
 */
export async function createNextKey(stateFolder: string, from: Date): Promise<string> {
  return await createKey(stateFolder, fileNameFor(from));
}

async function createKey(stateFolder: string, name: string): Promise<string> {
  const folder = keysFolder(stateFolder);
  try {
    await makeFolders(folder, 0o700);
    await ensureSecret(join(folder, 'identity.key'), () => randomBytes(32).toString('hex'));
    await ensureSecret(join(folder, name), newKey);
    // Whoever won, it is this one's key.
    const certificate = await certify(folder, join(folder, name));
    if (certificate !== undefined) {
      await ensureSecret(join(folder, name.replace(/\.pem$/, '.crt')), () => certificate);
    }
    await syncFolder(folder);
  } catch (error) {
    throw new Error(
      `portcullis.auth.state: ${stateFolder} cannot be written (${(error as Error).message}); name another folder, or ${howToMakeWritable(stateFolder, { isThere: await exists(stateFolder) })}`,
      { cause: error },
    );
  }
  return join(folder, name);
}

function newKey(): string {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  return privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
}

/**
 * A certificate of the folder's own authority, for registries that know keys by a certificate.
 * @returns undefined where there is no openssl: tokens then go without
 */
async function certify(folder: string, key: string): Promise<string | undefined> {
  // Beside the keys, which is where something can be written.
  const work = await mkdtemp(join(folder, '.certificate-'));
  try {
    const [authorityKey, authority] = await ensureAuthority(folder, work);
    const settings = join(work, 'leaf.cnf');
    await writeFile(
      settings,
      '[req]\ndistinguished_name=n\n[n]\n[leaf]\nbasicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\n',
    );
    const subject = `/CN=Portcullis tokens ${basename(key, '.pem')}`;
    const request = join(work, 'key.csr');
    await openssl('openssl', [
      ...['req', '-new', '-key', key, '-subj', subject, '-config', settings, '-out', request],
    ]);
    const { stdout } = await openssl('openssl', [
      ...['x509', '-req', '-in', request, '-CA', authority, '-CAkey', authorityKey],
      ...['-set_serial', `0x${randomBytes(16).toString('hex')}`, '-days', validity, '-sha256'],
      ...['-extfile', settings, '-extensions', 'leaf'],
    ]);
    return stdout;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

/** @returns the paths of its key and its certificate */
async function ensureAuthority(folder: string, work: string): Promise<[string, string]> {
  const [key, certificate] = [join(folder, 'authority.key'), join(folder, 'authority.crt')];
  if (await exists(certificate)) return [key, certificate];
  const settings = join(work, 'authority.cnf');
  await writeFile(
    settings,
    '[req]\ndistinguished_name=n\n[n]\n[ca]\nbasicConstraints=critical,CA:TRUE,pathlen:0\nkeyUsage=critical,keyCertSign\nsubjectKeyIdentifier=hash\n',
  );
  await ensureSecret(key, newKey);
  const { stdout } = await openssl('openssl', [
    ...['req', '-x509', '-new', '-sha256', '-days', validity, '-key', key],
    ...['-subj', '/CN=Portcullis token authority', '-config', settings, '-extensions', 'ca'],
  ]);
  await ensureSecret(certificate, () => stdout);
  return [key, certificate];
}

/** Writes a file whole, unless it is there. */
async function ensureSecret(path: string, make: () => string): Promise<void> {
  if (await exists(path)) return;
  const temporary = `${path}.${randomUUID()}.new`;
  try {
    const handle = await open(temporary, 'w', 0o600);
    try {
      await handle.writeFile(make());
      await handle.sync();
    } finally {
      await handle.close();
    }
    await link(temporary, path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  } finally {
    await rm(temporary, { force: true });
  }
}
