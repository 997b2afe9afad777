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
  certificate: notEmpty(text.optional(), plain),
  key: notEmpty(text.optional(), plain),
  clientcas: textList.optional(),
  clientauth: text.optional(),
  minimumtls: z.enum(['tls1.0', 'tls1.1', 'tls1.2', 'tls1.3']).default('tls1.2'),
  ciphersuites: textList.optional(),
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
  addr: text.default(':5000'),
  net: z.enum(['tcp', 'unix']).default('tcp'),
  prefix: text.default('/'),
  host: text.optional(),
  secret: secret.optional(),
  relativeurls: flag.optional(),
  /** With `portcullis.draindelay` within what docker gives a container to stop; 0s cuts what runs. */
  draintimeout: duration('0s', '24h').default(5000),
  headers: z.record(headerName, headerValues).default({}),
  http2: z.object({ disabled: flag.optional() }).optional(),
  h2c: z.object({ enabled: flag.optional() }).optional(),
  tls: notEmpty(tls.optional(), plain),
  debug: z
    .object({
      addr: text.optional(),
      prometheus: z.object({ enabled: flag.optional(), path: text.optional() }).optional(),
    })
    .optional(),
});
