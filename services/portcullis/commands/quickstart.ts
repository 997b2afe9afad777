import { createHash, randomBytes } from 'node:crypto';
import { realpath, rm, stat, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { hostname, networkInterfaces } from 'node:os';
import { basename, dirname, join, resolve } from 'node:path';
import { parseConfiguration } from '#libs/config/load-configuration.ts';
import { loadSettings, usableSettings } from '#libs/config/load-settings.ts';
import { exists } from '#libs/files/exists.ts';
import { makeFolders } from '#libs/files/make-folders.ts';
import { switchToControllerOf } from '#libs/process/drop-privileges.ts';
import { UsageError } from '#libs/process/usage-error.ts';
import { services } from '#libs/values/service-name.ts';
import { assertAddressesFree } from '../assert-startable.ts';
import { type Certificates, ensureCertificates } from '../certificates.ts';
import { setPassword } from '../htpasswd-file.ts';
import { starterConfiguration } from '../starter-configuration.ts';
import { addressFor, nameToShow, welcome } from '../welcome.ts';
import { supervise } from './serve.ts';

export interface QuickstartOptions {
  dir: string;
  /** Names by which clients call this machine; what is empty counts for nothing. */
  host?: readonly string[] | undefined;
  port?: number | undefined;
}

/**
 * From nothing to a registry with TLS, one user and access rules; later starts reuse it.
 * @returns the exit code
 */
export async function quickstart(options: QuickstartOptions): Promise<number> {
  if (options.dir.trim() === '') throw new UsageError('--dir is empty; name a folder');
  const dir = resolve(options.dir);
  if ((await stat(dir).catch(() => undefined))?.isDirectory() === false) {
    throw new UsageError(`${dir} is not a folder; name one with --dir`);
  }
  const hosts = (options.host ?? []).filter((name) => name !== '');
  const { port } = options;
  const config = join(dir, 'config.yml');
  await switchToControllerOf(config);
  const certificates = join(dir, 'certs');

  const starter = (await exists(config))
    ? undefined
    : starterConfiguration({ dir, port: port ?? 5000 });
  const { loaded, settings } =
    starter === undefined
      ? await loadSettings(config)
      : usableSettings(await parseConfiguration({ path: config, text: starter }));
  const { listen } = settings.http;
  if (starter === undefined && port !== undefined && 'port' in listen && listen.port !== port) {
    process.stderr.write(
      `${config} exists and sets port ${listen.port}, so --port ${port} is ignored; change http.addr in it instead\n`,
    );
  }
  await assertAddressesFree(loaded, settings, services).catch((error: Error) => {
    if (starter === undefined) throw error;
    const message = error.message.replace(
      /set http\.addr to .*$/,
      'choose another one with --port',
    );
    throw new Error(message, { cause: error });
  });

  const { storage, auth } = settings;
  const ours = join(certificates, 'site.crt');
  const ca = settings.http.tls?.certificate === ours ? join(certificates, 'ca.crt') : undefined;
  const written = [
    config,
    ...(ca === undefined ? [] : [ca]),
    ...(auth === undefined || (await exists(auth.htpasswd)) ? [] : [auth.htpasswd]),
  ];
  await switchToControllerOf(...written);
  using making = await reserve(dir);
  const made = await absentOf(dir, auth === undefined ? [] : [auth.htpasswd]);
  let shown = false;
  let password: string | undefined;
  try {
    await makeFolders(dir).catch((error: Error) => {
      throw new Error(`the folder ${dir} cannot be made: ${error.message}`, { cause: error });
    });
    // Somebody else may have made it in the meantime.
    await switchToControllerOf(...written);
    if (storage.driver === 'filesystem') await makeRoot(storage.root);
    const ensured =
      ca === undefined ? undefined : await ensureCertificates(certificates, wantedNames(hosts));
    const isTheirs = ensured?.site === 'theirs';
    if (isTheirs && (await exists(ours))) tellOfTheirs(ours, ensured.missing ?? [], hosts);
    else if (ensured !== undefined && (starter === undefined || ensured.keptAs !== undefined)) {
      tellOf(ensured);
    }
    if (auth !== undefined) password = await ensureFirstUser(auth.htpasswd);
    if (starter !== undefined) await writeFile(config, starter, { mode: 0o644, flag: 'wx' });
    const code = await supervise(config, (address, startedInMs) => {
      const names = addressFor(address, nameToShow(hosts), settings.http.prefix);
      const made = password === undefined ? undefined : { name: 'admin', password };
      const users = made ?? (auth === undefined ? undefined : { file: auth.htpasswd });
      shown = true;
      making[Symbol.dispose]();
      const signed = isTheirs ? undefined : ca;
      process.stdout.write(welcome({ ...names, config, ca: signed, users, startedInMs }));
    });
    if (!shown && code !== 0) await removeAll(made);
    // Stopped before it was ready: what was made stays, so nobody may lose the only password.
    else if (!shown && password !== undefined) {
      process.stdout.write(`The user admin was made, with the password ${password}\n`);
    }
    return code;
  } catch (error) {
    if (!shown) await removeAll(made);
    throw error;
  }
}

/** What a start makes in its folder, the outer before the inner, and elsewhere; of this, what is not there yet. */
async function absentOf(dir: string, elsewhere: readonly string[]): Promise<string[]> {
  const names = ['.', 'registry', 'certs', 'auth', 'auth/htpasswd', 'auth/state', 'config.yml'];
  const paths = [...names.map((name) => join(dir, name)), ...elsewhere];
  const there = await Promise.all(paths.map(exists));
  return paths.filter((_, index) => !there[index]);
}

/** A start that failed leaves nothing: nobody has seen the password, nor trusts the CA. */
async function removeAll(made: readonly string[]): Promise<void> {
  for (const path of made) await rm(path, { recursive: true, force: true });
}

/**
 * Has a folder to itself until it is let go of, or this process ends: of two that start in one at the same time, the one that
 * fails would remove what the other one uses.
 * @throws Error if another one has it
 */
async function reserve(dir: string): Promise<Disposable> {
  const server = createServer();
  if (process.platform === 'linux') {
    const name = createHash('sha256')
      .update(await realPlace(dir))
      .digest('hex');
    await new Promise<void>((resolve, reject) => {
      server.once('error', () =>
        reject(
          new Error(`another quickstart is about to start in ${dir}; wait for it, or stop it`),
        ),
      );
      // Of the abstract namespace (unix(7)): it has no file, and ends with its process.
      server.listen(`\0portcullis-quickstart-${name}`, resolve);
    });
  }
  return { [Symbol.dispose]: () => void server.close() };
}

/** The one name of a folder that may have several, whether it is there already or not. */
async function realPlace(path: string): Promise<string> {
  const found = await realpath(path).catch(() => undefined);
  if (found !== undefined) return found;
  const parent = dirname(path);
  return parent === path ? path : join(await realPlace(parent), basename(path));
}

async function makeRoot(root: string): Promise<void> {
  await makeFolders(root).catch((error: Error) => {
    throw new Error(`storage.filesystem.rootdirectory: ${root} cannot be made: ${error.message}`, {
      cause: error,
    });
  });
}

/** Says what a later start did to the certificate, or should have done. */
function tellOf({ site, names, keptAs, problem }: Certificates): void {
  if (problem !== undefined) process.stderr.write(`${problem}\n`);
  if (site === 'made')
    process.stderr.write(
      `a new certificate was made, for ${names.join(', ')}${keptAs === undefined ? '' : `; the one before, of another CA, is in ${keptAs}`}\n`,
    );
}

/** Says of a certificate that somebody else put there what clients may not take of it. */
function tellOfTheirs(
  certificate: string,
  missing: readonly string[],
  hosts: readonly string[],
): void {
  const asked = hosts.filter((host) => missing.includes(host));
  const names = asked.length === 0 ? '' : `, and is not for ${asked.join(', ')}`;
  process.stderr.write(
    `${certificate} is not signed by the CA of this folder${names}; it is used as it is (move it and site.key away to have others made)\n`,
  );
}

/** All names by which this machine may be called, those asked for first. */
function wantedNames(hosts: readonly string[]): string[] {
  const addresses = Object.values(networkInterfaces())
    .flatMap((list) => list ?? [])
    .filter(({ internal, address }) => !internal && !address.startsWith('fe80:'))
    .map(({ address }) => address);
  return [...new Set([...hosts, 'localhost', '127.0.0.1', '::1', hostname(), ...addresses])];
}

/** @returns the password of a user made now; undefined if there was one already */
async function ensureFirstUser(path: string): Promise<string | undefined> {
  if (await exists(path)) return undefined;
  const password = randomBytes(15).toString('base64url');
  await setPassword(path, 'admin', password, 'add');
  return password;
}
