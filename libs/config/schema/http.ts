import { z } from 'zod';
import {
  duration,
  flag,
  headerValues,
  notEmpty,
  secret,
  text,
  textList,
} from '../../values/schema.ts';

const plain = 'without http.tls everything is sent in the clear';

const tls = z.object({
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
      'Scheme and host of links and of the token service, such as https://registry.example.com; without it, as the client came. Over TLS a client that comes directly by another name is given that one.',
    ),
  secret: secret
    .optional()
    .describe('Shared by processes on several machines, which know each other by it.'),
  relativeurls: flag
    .optional()
    .describe('Whether Location headers have no host; without it they have one if host is set.'),
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
  tls: notEmpty(tls.optional(), plain),
  debug: z
    .object({
      addr: text
        .optional()
        .describe('Address for health checks, metrics and the state of the processes.'),
      prometheus: z
        .object({
          enabled: flag.optional().describe('Whether metrics are served.'),
          path: text.optional().describe('Their path; /metrics without it.'),
        })
        .optional(),
    })
    .optional(),
});
