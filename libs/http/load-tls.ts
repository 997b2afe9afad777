import { X509Certificate } from 'node:crypto';
import { isIP } from 'node:net';
import type { SecureContextOptions } from 'node:tls';
import { type CertificateFiles, readCertificate } from '#libs/tls/certificate-files.ts';

/** Where the site's certificate is, and what is spoken with it (`http.tls`). */
export interface TlsFiles extends CertificateFiles {
  minVersion: 'TLSv1.2' | 'TLSv1.3';
  /** Names as OpenSSL or as Go spells them. */
  ciphers: string[];
}

/** Go's names for the TLS 1.2 suites, as distribution's `ciphersuites` has them, and OpenSSL's. */
const cipherNames: ReadonlyMap<string, string> = new Map([
  ['TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256', 'ECDHE-RSA-AES128-GCM-SHA256'],
  ['TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384', 'ECDHE-RSA-AES256-GCM-SHA384'],
  ['TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256', 'ECDHE-ECDSA-AES128-GCM-SHA256'],
  ['TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384', 'ECDHE-ECDSA-AES256-GCM-SHA384'],
  ['TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256', 'ECDHE-RSA-CHACHA20-POLY1305'],
  ['TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256', 'ECDHE-ECDSA-CHACHA20-POLY1305'],
  ['TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA', 'ECDHE-RSA-AES128-SHA'],
  ['TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA', 'ECDHE-RSA-AES256-SHA'],
  ['TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA', 'ECDHE-ECDSA-AES128-SHA'],
  ['TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA', 'ECDHE-ECDSA-AES256-SHA'],
  ['TLS_RSA_WITH_AES_128_GCM_SHA256', 'AES128-GCM-SHA256'],
  ['TLS_RSA_WITH_AES_256_GCM_SHA384', 'AES256-GCM-SHA384'],
]);

/**
 * Reads the site certificate and its key.
 * @throws Error with one clear sentence naming the file
 */
export async function loadTls(
  settings: TlsFiles,
): Promise<SecureContextOptions & { cert: Buffer; key: Buffer }> {
  const { minVersion } = settings;
  const ciphers = settings.ciphers.map((name) => cipherNames.get(name) ?? name).join(':');
  const options = { minVersion, ...(ciphers === '' ? {} : { ciphers }) };
  return { ...options, ...(await readCertificate(settings, 'http.tls', options)) };
}

/** Milliseconds before its end from which on a certificate is worth a word. */
const shortly = 7 * 24 * 60 * 60 * 1000;

/**
 * What is wrong with the time of the first certificate of a file, for which clients refuse it or are about to.
 * @returns half a sentence, behind the name of the file; undefined for one that is good for longer than a week
 */
export function describeExpiry(pem: Buffer, now = new Date()): string | undefined {
  const { validFromDate: from, validToDate: to } = new X509Certificate(pem);
  if (from > now) return `is not valid before ${from.toISOString()}; clients refuse it until then`;
  if (to < now) return `expired on ${to.toISOString()}; clients refuse it`;
  if (to.getTime() - now.getTime() > shortly) return undefined;
  return `expires on ${to.toISOString()}; clients refuse it from then on`;
}

/**
 * What clients may not take of a certificate, as far as that can be told here.
 * @param pem a certificate, with those of its issuers behind it
 * @param host what clients call the server; undefined where that is not known
 */
export function describeDoubts(pem: Buffer, host: string | undefined): string[] {
  const site = new X509Certificate(pem);
  const doubts: string[] = [];
  const count = pem.toString('latin1').split('-----BEGIN CERTIFICATE-----').length - 1;
  // Who can be asked for the certificate of the issuer is hardly ever issued by a root.
  const isIssuedByOther = site.issuer !== site.subject && /CA Issuers/.test(site.infoAccess ?? '');
  if (count === 1 && isIssuedByOther) {
    const issuer = site.issuer.replaceAll('\n', ', ');
    doubts.push(
      `comes without the certificate of its issuer (${issuer}), which many clients do not have; append it to the file, as in fullchain.pem`,
    );
  }
  const isAddress = host !== undefined && isIP(host) !== 0;
  const isForHost =
    host === undefined || (isAddress ? site.checkIP(host) : site.checkHost(host)) !== undefined;
  if (!isForHost) doubts.push(`is not for ${host}, as which http.host tells clients to come`);
  return doubts;
}
