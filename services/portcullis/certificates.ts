import { execFile } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { constants, type Stats } from 'node:fs';
import { copyFile, lstat } from 'node:fs/promises';
import { isIP } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { sudoUser } from '#libs/config/sudo.ts';
import { exists } from '#libs/files/exists.ts';
import { readRegularFile } from '#libs/files/read-text.ts';
import { whyClientsRefuse, whyNoneCanBeSigned } from './signing-authority.ts';

const run = promisify(execFile);
const scripts = fileURLToPath(new URL('../../certs/', import.meta.url));

/** Of certificates that a CA of `create-ca.sh` has signed, also one that is gone. */
const issuer = 'CN=Portcullis CA';

/** A certificate with less left than this is replaced, in milliseconds. */
const renewBefore = 30 * 24 * 60 * 60 * 1000;

/** What a folder of certificates has now. */
export interface Certificates {
  ca: 'made' | 'kept';
  /** `theirs`: somebody put one there that our CA has not signed, or something else. */
  site: 'made' | 'kept' | 'theirs';
  /** Those that the site certificate is for. */
  names: readonly string[];
  /** Where the one before is, if another CA had signed it, and its key beside it. */
  keptAs?: string;
  /** Those of the names asked for that somebody else's certificate is not for. */
  missing?: readonly string[];
  /** Why the site certificate should have been made anew, where it could not be. */
  problem?: string;
}

/**
 * Makes sure that a folder has a CA and a site certificate for the names. A CA is never replaced, nor is a site certificate
 * that it has not signed; ours is when a name is missing or it soon expires, by one that keeps the names it had.
 * @param names DNS names and IP addresses
 * @throws Error if there is no certificate that can be used, and none can be made
 */
export async function ensureCertificates(
  folder: string,
  names: readonly string[],
): Promise<Certificates> {
  for (const name of names) assertName(name);
  const at = (name: string) => join(folder, name);
  for (const name of ['ca.key', 'ca.crt']) await assertOwn(at(name));
  const [hasCaKey, hasCa, hasKey] = await Promise.all(
    ['ca.key', 'ca.crt', 'site.key'].map((name) => exists(at(name))),
  );
  const [before, site] = await Promise.all(
    ['ca.crt', 'site.crt'].map((name) => readCertificate(at(name))),
  );
  if (before === 'unusable') {
    throw new Error(`${at('ca.crt')} cannot be read as a certificate; put the right one there`);
  }
  // Nor is a key replaced whose certificate is yet to come.
  const isAlone = site === undefined && hasKey;
  if (site === 'unusable' || isAlone) return { ca: 'kept', site: 'theirs', names: [] };
  const isSigned = site !== undefined && before !== undefined && site.verify(before.publicKey);
  // Of a CA that was removed so that a new one is made; another one's may have the same name.
  const isOfRemoved = site?.issuer === issuer && !hasCa && !hasCaKey;
  if (site !== undefined && !isSigned && !isOfRemoved) {
    const missing = names.filter((name) => !isFor(site, name));
    return { ca: 'kept', site: 'theirs', names: namesOf(site), missing };
  }
  if (hasCaKey && !hasCa) {
    throw new Error(
      `${at('ca.crt')} is not there, and ${at('ca.key')} is; put back the certificate of that key, or move it away to have a new CA made`,
    );
  }
  if (!hasCaKey && !hasCa) await script('create-ca.sh', [folder]);
  const found = before ?? (await readCertificate(at('ca.crt')));
  const made = before === found ? 'kept' : 'made';
  const ca = found === 'unusable' ? undefined : found;
  const ours = ca && site?.verify(ca.publicKey) && hasKey ? site : undefined;
  const missing = ours === undefined ? undefined : whatIsMissing(ours, names);
  const whyRefused = ca === undefined ? undefined : whyClientsRefuse(ca);
  if (whyRefused !== undefined) {
    const problem = `${at('ca.crt')} ${whyRefused}: clients refuse what it has signed; move it, ca.key, site.crt and site.key away, run this again, which makes new ones, and give ca.crt to your clients`;
    if (ours === undefined) throw new Error(problem);
    return { ca: made, site: 'kept', names: namesOf(ours), problem };
  }
  if (ours !== undefined && missing === undefined) {
    return { ca: made, site: 'kept', names: namesOf(ours) };
  }
  const whyUnsigned = await whyNoneCanBeSigned(at('ca.key'), ca);
  if (whyUnsigned !== undefined) {
    const problem = `${at('ca.key')} ${whyUnsigned}`;
    if (ours === undefined || !isValid(ours)) throw new Error(problem);
    return { ca: made, site: 'kept', names: namesOf(ours), problem: `${missing}; ${problem}` };
  }
  const all = [...new Set([...names.map(asWritten), ...(site === undefined ? [] : namesOf(site))])];
  const kept = isOfRemoved ? { keptAs: await copyAside(at('site.crt'), at('site.key')) } : {};
  await script('create-site.sh', [folder, ...all]);
  return { ca: made, site: 'made', names: all, ...kept };
}

/**
 * Copies a certificate that is to be replaced, and its key where there is one: it may be the only one of somebody who has the
 * CA. @returns where the certificate is now
 */
async function copyAside(certificate: string, key: string): Promise<string> {
  for (let number = 1; ; number += 1) {
    const end = number === 1 ? '.old' : `.old${number}`;
    if ((await exists(`${certificate}${end}`)) || (await exists(`${key}${end}`))) continue;
    if (await exists(key)) await copyFile(key, `${key}${end}`, constants.COPYFILE_EXCL);
    await copyFile(certificate, `${certificate}${end}`, constants.COPYFILE_EXCL);
    return `${certificate}${end}`;
  }
}

/** The names and addresses that a certificate is for, of those that {@link assertName} takes. */
function namesOf({ subjectAltName = '' }: X509Certificate): string[] {
  return [...subjectAltName.matchAll(/(?:DNS|IP Address):([^",\s]+)/g)].flatMap(([, name = '']) =>
    isName(name) ? [asWritten(name)] : [],
  );
}

/** An address of IPv6 as one writes it, `::1`; OpenSSL shows all of its parts. */
function asWritten(name: string): string {
  return isIP(name) === 6 ? new URL(`http://[${name}]`).hostname.slice(1, -1) : name;
}

/**
 * Makes sure that a file of the CA is not somebody else's, who could make certificates for every name.
 * @throws Error with one clear sentence
 */
async function assertOwn(path: string): Promise<void> {
  const found = await lstat(path).catch(() => undefined);
  const own = process.getuid?.();
  if (found === undefined || own === undefined || isTrustedOwner(found, own)) return;
  throw new Error(
    `${path} belongs to user ${found.uid}, who could make certificates for every name that your clients believe; remove it, or run this as that user`,
  );
}

const isTrustedOwner = ({ uid }: Stats, own: number) => [own, 0, sudoUser()].includes(uid);

/** What stands in the certificate must not be more than a name: openssl reads it from a file. */
function assertName(name: string): void {
  if (!isName(name)) throw new Error(`"${name}" is neither a host name nor an address`);
}

function isName(text: string): boolean {
  // An address with a slip: no name of a host is of numbers only.
  if (/^[\d.]+$/.test(text)) return isIP(text) !== 0;
  // Nor is an address with a zone one that a certificate can be for.
  if (text.includes('%')) return false;
  return isIP(text) !== 0 || /^(?:\*\.)?[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?$/.test(text);
}

/** Why a certificate of ours is to be made anew; undefined where it is good. */
function whatIsMissing(certificate: X509Certificate, names: readonly string[]): string | undefined {
  if (certificate.validToDate.getTime() - Date.now() < renewBefore) {
    return `the certificate is good until ${certificate.validToDate.toISOString().slice(0, 10)}`;
  }
  const missing = names.filter((name) => !isFor(certificate, name));
  return missing.length === 0 ? undefined : `the certificate is not for ${missing.join(', ')}`;
}

function isFor(certificate: X509Certificate, name: string): boolean {
  const found = isIP(name) === 0 ? certificate.checkHost(name) : certificate.checkIP(name);
  return found !== undefined;
}

function isValid({ validToDate }: X509Certificate): boolean {
  return validToDate.getTime() > Date.now();
}

/** @returns undefined where there is none, be it since the file is empty; `unusable` for anything else */
async function readCertificate(path: string): Promise<X509Certificate | 'unusable' | undefined> {
  try {
    const bytes = await readRegularFile(path);
    return bytes.length === 0 ? undefined : new X509Certificate(bytes);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ENOENT' ? undefined : 'unusable';
  }
}

async function script(name: string, args: readonly string[]): Promise<void> {
  try {
    await run(join(scripts, name), args);
  } catch (error) {
    const { stderr, message } = error as Error & { stderr?: string };
    const why = stderr?.trim().split('\n').at(-1) || message;
    throw new Error(`the certificate could not be made: ${why}`, { cause: error });
  }
}
