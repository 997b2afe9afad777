import { resolve } from 'node:path';
import { z } from 'zod';
import type { TlsFiles } from '#libs/http/load-tls.ts';
import { parseAddress } from '../../values/listen-address.ts';
import {
  duration,
  flag,
  headerValues,
  notEmpty,
  secret,
  text,
  textList,
} from '../../values/schema.ts';
import { fromParts } from '../from-parts.ts';
import type { SupportRow } from '../support-row.ts';
import { debugSchema } from './debug.ts';

const plain = 'without http.tls everything is sent in the clear';

const tlsSchema = z.object({
  certificate: notEmpty(text.optional(), plain).describe(
    'File with the certificate and those between it and the authority (PEM); changes are taken without a restart.',
  ),
  key: notEmpty(text.optional(), plain).describe('File with its private key (PEM).'),
  clientcas: textList.optional(),
  clientauth: text
    .optional()
    .describe('What is asked of client certificates; without clientcas nothing.'),
  minimumtls: z
    .enum(['tls1.0', 'tls1.1', 'tls1.2', 'tls1.3'])
    .default('tls1.2')
    .describe('Oldest version of TLS that is spoken; TLS 1.2 at least.'),
  ciphersuites: textList
    .optional()
    .describe('Cipher suites of TLS 1.2, by their names in Go or OpenSSL.'),
  letsencrypt: z
    .object({
      cachefile: text.optional(),
      email: text.optional(),
      hosts: textList.optional(),
      directoryurl: text.optional(),
    })
    .optional(),
});

/** What may stand before the colon (RFC 9110 section 5.1). */
const headerName = z.string().regex(/^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/, 'is not a header name');

export const httpSchema = z.object({
  addr: text
    .default(':5000')
    .describe(
      'Address that clients come to, such as :5000 or 127.0.0.1:5000; with net: unix the path of a socket.',
    ),
  net: z.enum(['tcp', 'unix']).default('tcp').describe('What the address is.'),
  prefix: text.default('/').describe('Path that all routes stand under.'),
  host: text
    .optional()
    .describe(
      'Scheme and host of links and of the token service, such as https://registry.example.com; without it, as the client came. Over TLS a client that comes directly by another name, or by our address, is given that one.',
    ),
  secret: secret
    .optional()
    .describe('Shared by processes on several machines, which know each other by it.'),
  relativeurls: flag
    .optional()
    .describe('Taken, and without effect: Location headers never have a host, as clients expect.'),
  draintimeout: duration('0s', '24h')
    .default(5000)
    .describe('How long what runs may take to end when a process stops; 0s cuts it.'),
  headers: z.record(headerName, headerValues).default({}).describe('Headers of every answer.'),
  http2: z
    .object({
      disabled: flag
        .optional()
        .describe('Whether HTTP/2 is off; it is on only with disabled: false and tls.'),
    })
    .optional(),
  h2c: z.object({ enabled: flag.optional() }).optional(),
  tls: notEmpty(tlsSchema.optional(), plain),
  debug: debugSchema.optional(),
});

export type HttpSection = z.infer<typeof httpSchema>;

/** How clients reach the registry; times in ms. */
export interface HttpSettings {
  listen: { socket: string } | { host?: string; port: number };
  /** Path all routes stand under: empty, or `/x/y` without a slash at the end. */
  prefix: string;
  /** Scheme and host that clients use, if it is fixed: `https://registry.example.com`. */
  publicUrl: string | undefined;
  tls: TlsFiles | undefined;
  /** HTTP/2 beside HTTP/1.1; without `tls` of no effect. */
  http2: boolean;
  /** Sent with every answer. */
  headers: Record<string, string[]>;
  /** How long what runs may take to end when a process stops. */
  drainTimeout: number;
}

/** @throws ConfigurationError with every problem found */
export function httpSettings(http: HttpSection): HttpSettings {
  const { host } = http;
  return fromParts((part) => ({
    listen: part(() =>
      http.net === 'unix' ? { socket: resolve(http.addr) } : parseAddress(http.addr),
    ),
    prefix: http.prefix.replace(/^\/*/, '/').replace(/\/+$/, ''),
    publicUrl: part(() => (host === undefined ? undefined : parsePublicUrl(host))),
    tls: part(() => tlsSettings(http.tls)),
    http2: http.http2?.disabled === false,
    headers: http.headers,
    drainTimeout: http.draintimeout,
  }));
}

function tlsSettings(tls: HttpSection['tls']) {
  // What is asked for instead stops the start as well, by a row of the support table.
  if (tls === undefined || hasLetsEncrypt({ tls })) return undefined;
  if (tls.certificate === undefined && tls.key === undefined) {
    throw new Error(
      `http.tls: has no certificate and no key; ${plain}, so leave it out if that is meant`,
    );
  }
  if (tls.certificate === undefined || tls.key === undefined) {
    throw new Error('http.tls: certificate and key belong together; one of them is missing');
  }
  return {
    certificate: resolve(tls.certificate),
    key: resolve(tls.key),
    minVersion: tls.minimumtls === 'tls1.3' ? ('TLSv1.3' as const) : ('TLSv1.2' as const),
    ciphers: tls.ciphersuites ?? [],
  };
}

function parsePublicUrl(host: string): string {
  const url = URL.canParse(host) ? new URL(host) : undefined;
  if (url === undefined || !/^https?:$/.test(url.protocol)) {
    throw new Error(`http.host: "${host}" is not a URL such as https://registry.example.com`);
  }
  if (url.pathname !== '/' || url.search !== '') {
    throw new Error(`http.host: "${host}" has a path; a path that all clients use is http.prefix`);
  }
  return url.origin;
}

export const httpSupport: readonly SupportRow<HttpSection>[] = [
  [
    'http.tls.clientcas',
    'stop',
    'client certificates are not checked yet',
    ({ tls }) => tls?.clientcas,
  ],
  ['http.tls.letsencrypt', 'stop', 'certificates are not fetched yet', hasLetsEncrypt],
  [
    'http.tls.minimumtls',
    'warn',
    'TLS 1.2 is the minimum',
    ({ tls }) => tls?.minimumtls === 'tls1.0' || tls?.minimumtls === 'tls1.1',
  ],
  [
    'http.h2c',
    'warn',
    'HTTP/2 without TLS (h2c) is not supported; clients use HTTP/1.1',
    ({ h2c }) => h2c?.enabled,
  ],
  [
    'http.http2',
    'note',
    'HTTP/2 needs http.tls; clients use HTTP/1.1',
    ({ http2, tls }) => http2?.disabled === false && tls?.certificate === undefined,
  ],
];

function hasLetsEncrypt({ tls }: Pick<HttpSection, 'tls'>): boolean {
  const { cachefile, hosts = [] } = tls?.letsencrypt ?? {};
  return cachefile !== undefined || hosts.length > 0;
}
