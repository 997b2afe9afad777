import type { Stats } from 'node:fs';
import { constants, existsSync } from 'node:fs';
import { access, stat, statfs } from 'node:fs/promises';
import { dirname } from 'node:path';
import { assertAuditLog } from '#libs/audit/audit-log.ts';
import { isAddress, parseJwks } from '#libs/auth/jwks-source.ts';
import type { Settings } from '#libs/config/settings.ts';
import { readText } from '#libs/files/read-text.ts';
import { describeDoubts, describeExpiry, loadTls } from '#libs/http/load-tls.ts';
import { loadInternalTls } from '#libs/internal/listener.ts';
import { expectUser } from '#libs/process/choose-user.ts';
import { readAuthorities, readCertificate } from '#libs/tls/certificate-files.ts';
import type { ServiceName } from '#libs/values/service-name.ts';
import { assertGivable, assertWritable } from './assert-writable.ts';
import { warnOfUsers } from './warn-of-users.ts';

export interface FileVerdict {
  /** A sentence for each file that is missing or cannot be used. */
  problems: string[];
  /** A sentence for each file that this user may not read: who starts the service may. */
  unreadable: string[];
  /** A sentence for each thing that is rarely meant. */
  warnings: string[];
}

/**
 * Looks at the files without which services do not start: certificates, users, keys of others. Nothing is made
 * or changed.
 */
export async function checkFiles(
  settings: Settings,
  services: readonly ServiceName[],
): Promise<FileVerdict> {
  const verdict: FileVerdict = { problems: [], unreadable: [], warnings: [] };
  const { http } = settings;
  const checks: (() => Promise<unknown>)[] = filesOf(settings, services).map(
    ({ key, path }) =>
      () =>
        assertReadable(key, path),
  );
  for (const { key, path } of keySetsOf(settings, services)) {
    checks.push(async () => {
      try {
        parseJwks(await readText(path), path);
      } catch (error) {
        // One that cannot be read is said already.
        const { cause } = error as Error;
        if ((cause as NodeJS.ErrnoException | undefined)?.code !== undefined) return;
        throw new Error(`${key}: ${(error as Error).message}`, { cause: error });
      }
    });
  }
  const as = await expectUser(settings);
  const { listen } = http;
  if ('socket' in listen && services.includes('gateway')) {
    checks.push(() => assertFolder('http.addr', dirname(listen.socket)));
  }
  if (settings.storage.driver === 'filesystem' && services.includes('core')) {
    const { root } = settings.storage;
    checks.push(() => assertCanBeFolder('storage.filesystem.rootdirectory', root));
    if (!settings.readOnly) {
      const key = 'storage.filesystem.rootdirectory';
      // Root gives it to them.
      if (as?.getsRoot === true) checks.push(() => assertGivable(key, root, as));
      else checks.push(() => assertWritable(key, root, as));
    }
  }
  checks.push(() => assertCanBeFolder('portcullis.sockets', settings.sockets.folder));
  const { auth, audit } = settings;
  if (auth !== undefined && services.includes('auth')) {
    checks.push(() => assertCanBeFolder('portcullis.auth.state', auth.state));
  }
  const auditPath = audit?.path;
  if (auditPath !== undefined) {
    checks.push(() => assertFolder('portcullis.audit', dirname(auditPath)));
    checks.push(() => assertCanHaveFile('portcullis.audit', auditPath));
    checks.push(async () => assertAuditLog(audit, 'check'));
  }
  if (http.tls !== undefined && services.includes('gateway')) {
    const { tls } = http;
    checks.push(async () => {
      const { cert } = await loadTls(tls);
      const pem = cert;
      const host = http.publicUrl === undefined ? undefined : new URL(http.publicUrl).hostname;
      const name = host?.replace(/^\[(.*)\]$/, '$1');
      for (const warning of [describeExpiry(pem), ...describeDoubts(pem, name)]) {
        if (warning === undefined) continue;
        verdict.warnings.push(`http.tls.certificate: ${tls.certificate} ${warning}`);
      }
    });
  }
  const { redis, internal } = settings;
  if (redis?.tls !== undefined) {
    const { authorities, own } = redis.tls;
    checks.push(() => readAuthorities(authorities, 'redis.tls.rootcas'));
    if (own !== undefined) checks.push(() => readCertificate(own, 'redis.tls'));
  }
  checks.push(() => readAuthorities(internal.authorities, 'portcullis.internal.rootcas'));
  for (const service of ['auth', 'core'] as const) {
    if (services.includes(service)) {
      checks.push(() => loadInternalTls(internal[service], internal));
    }
  }
  const { rootcertbundle } = settings.externalIssuer ?? {};
  if (rootcertbundle !== undefined) checks.push(() => assertBundle(rootcertbundle));
  for (const check of checks) {
    try {
      await check();
    } catch (error) {
      const { message, cause } = error as Error;
      const { code } = (cause ?? {}) as NodeJS.ErrnoException;
      verdict[code === 'EACCES' ? 'unreadable' : 'problems'].push(message);
    }
  }
  if (services.includes('auth') && settings.auth !== undefined) {
    verdict.warnings.push(...(await warnOfUsers(settings.auth, as)));
  }
  return verdict;
}

interface NamedFile {
  key: string;
  path: string;
}

function filesOf(settings: Settings, services: readonly ServiceName[]): NamedFile[] {
  const { auth, externalIssuer } = settings;
  const files: { key: string; path: string | undefined }[] = [];
  const add = (key: string, ...paths: (string | undefined)[]) => {
    for (const path of paths) files.push({ key, path });
  };
  if (services.includes('auth') && auth !== undefined) {
    // Where the configuration has users of its own, it may have no others.
    if (auth.users.size === 0 || existsSync(auth.htpasswd))
      add('auth.htpasswd.path', auth.htpasswd);
    for (const { name, jwks } of auth.workloads) add(`portcullis.workloads: ${name}`, jwks);
  }
  if (services.some((service) => service !== 'auth')) {
    add('auth.token.rootcertbundle', externalIssuer?.rootcertbundle);
    add('auth.token.jwks', externalIssuer?.jwks);
  }
  return files.filter((file): file is NamedFile => {
    return file.path !== undefined && !/^https?:/i.test(file.path);
  });
}

function keySetsOf(settings: Settings, services: readonly ServiceName[]): NamedFile[] {
  const { auth, externalIssuer } = settings;
  const workloads = services.includes('auth') ? (auth?.workloads ?? []) : [];
  return [
    ...workloads.map(({ name, jwks }) => ({ key: `portcullis.workloads: ${name}`, path: jwks })),
    { key: 'auth.token.jwks', path: externalIssuer?.jwks },
  ].filter((file): file is NamedFile => file.path !== undefined && !isAddress(file.path));
}

/** @returns undefined if there is nothing. @throws Error if this user may not know */
async function look(key: string, path: string): Promise<Stats | undefined> {
  try {
    return await stat(path);
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'EACCES') return undefined;
    throw new Error(`${key}: ${path} cannot be looked at by this user`, { cause });
  }
}

/** @throws Error if there is no such folder */
async function assertFolder(key: string, path: string): Promise<void> {
  const found = await look(key, path);
  if (found?.isDirectory() === true) return;
  throw new Error(
    `${key}: the folder ${path} ${found === undefined ? 'does not exist' : 'is a file'}`,
  );
}

/** @throws Error if a file stands where a folder is, or is made, or on the way to it */
async function assertCanBeFolder(key: string, path: string): Promise<void> {
  for (let place = path; ; place = dirname(place)) {
    const found = await look(key, place);
    if (found === undefined && place !== dirname(place)) continue;
    if (found?.isDirectory() !== false) {
      if (place !== path && (await isOfKernel(place))) {
        throw new Error(`${key}: ${path} cannot be made: nobody makes folders in ${place}`);
      }
      return;
    }
    if (place === path) throw new Error(`${key}: ${path} is a file; name a folder`);
    throw new Error(`${key}: ${path} cannot be made: ${place} is a file`);
  }
}

/** @throws Error for a bundle of which no key comes; that it cannot be read is said already */
async function assertBundle(path: string): Promise<void> {
  const text = await readText(path).catch(() => undefined);
  // Loaded where it is needed: what reads certificates is large.
  if (text !== undefined)
    (await import('#libs/auth/external-issuer-keys.ts')).parseBundle(text, path);
}

/** @throws Error if a folder stands where a file is to be written */
async function assertCanHaveFile(key: string, path: string): Promise<void> {
  const found = await stat(path).catch(() => undefined);
  if (found?.isDirectory()) throw new Error(`${key}: ${path} is a folder; name a file in it`);
  if (found !== undefined) return;
  const folder = dirname(path);
  const cause = await access(folder, constants.W_OK | constants.X_OK).catch((error) => error);
  if (cause !== undefined || (await isOfKernel(folder))) {
    throw new Error(`${key}: ${folder} is not writable by this user; name a file elsewhere`, {
      cause,
    });
  }
}

/** The numbers of procfs and sysfs, in linux/magic.h. */
const kernelFilesystems: ReadonlySet<number> = new Set([0x9fa0, 0x62656572]);

/** Whether the kernel shows itself there as folders and files. */
async function isOfKernel(path: string): Promise<boolean> {
  return kernelFilesystems.has((await statfs(path)).type);
}

async function assertReadable(key: string, path: string): Promise<void> {
  await readText(path, key);
}
