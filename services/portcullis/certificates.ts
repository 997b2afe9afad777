import { execFile } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import type { Stats } from 'node:fs';
import { lstat, readFile } from 'node:fs/promises';
import { isIP } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { sudoUser } from '#libs/config/sudo.ts';
import { exists } from '#libs/files/exists.ts';

const run = promisify(execFile);
const scripts = fileURLToPath(new URL('../../certs/', import.meta.url));

/** A certificate with less left than this is replaced, in milliseconds. */
const renewBefore = 30 * 24 * 60 * 60 * 1000;

/**
 * Makes sure that a folder has a CA and a site certificate for the names. A CA is never replaced; the
 * site certificate is when a name is missing or it soon expires, by one that keeps the names it had.
 * @param names DNS names and IP addresses
 * @returns what was made, and the names that the site certificate is for
 */
export async function ensureCertificates(
  folder: string,
  names: readonly string[],
): Promise<{ ca: 'made' | 'kept'; site: 'made' | 'kept'; names: readonly string[] }> {
  for (const name of names) assertName(name);
  for (const name of ['ca.key', 'ca.crt']) await assertOwn(join(folder, name));
  const hasCa = await exists(join(folder, 'ca.key'));
  if (!hasCa) await script('create-ca.sh', [folder]);
  const [ca, site] = await Promise.all(
    ['ca.crt', 'site.crt'].map((name) => readCertificate(join(folder, name))),
  );
  if (ca && site && isGood(site, ca, names) && (await exists(join(folder, 'site.key')))) {
    return { ca: hasCa ? 'kept' : 'made', site: 'kept', names: namesOf(site) };
  }
  const before = ca && site?.verify(ca.publicKey) ? namesOf(site) : [];
  const all = [...new Set([...names, ...before])];
  await script('create-site.sh', [folder, ...all]);
  return { ca: hasCa ? 'kept' : 'made', site: 'made', names: all };
}

/** The names and addresses that a certificate is for, of those that {@link assertName} takes. */
function namesOf({ subjectAltName = '' }: X509Certificate): string[] {
  return [...subjectAltName.matchAll(/(?:DNS|IP Address):([^",\s]+)/g)].flatMap(([, name = '']) =>
    isName(name) ? [name] : [],
  );
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
  return isIP(text) !== 0 || /^(?:\*\.)?[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?$/.test(text);
}

function isGood(
  certificate: X509Certificate,
  ca: X509Certificate,
  names: readonly string[],
): boolean {
  if (!certificate.verify(ca.publicKey)) return false;
  if (certificate.validToDate.getTime() - Date.now() < renewBefore) return false;
  return names.every((name) =>
    isIP(name) === 0
      ? certificate.checkHost(name) !== undefined
      : certificate.checkIP(name) !== undefined,
  );
}

async function readCertificate(path: string): Promise<X509Certificate | undefined> {
  try {
    return new X509Certificate(await readFile(path));
  } catch {
    return undefined;
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
