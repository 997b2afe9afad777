import { z } from 'zod';
import { formatDuration } from '../../values/duration.ts';
import { longestTokenLife } from '../../values/lifetimes.ts';
import { duration, flag, text } from '../../values/schema.ts';

/** `portcullis.token`: the tokens that we make. */
export const tokensSchema = z.object({
  ttl: duration('1m', formatDuration(longestTokenLife))
    .default(300_000)
    .describe('How long a token lives.'),
  issuer: text.default('portcullis').describe('Issuer of our tokens.'),
  service: text
    .default('portcullis')
    .describe('Audience of the tokens for this registry, and what a challenge says.'),
  identity: z
    .union([flag, z.enum(['on', 'off']).transform((value) => value === 'on')], {
      error: 'must be true or false',
    })
    .default(false)
    .describe('Whether docker login stores an identity token instead of the password.'),
  identityttl: duration('1m', '87600h')
    .default(7_776_000_000)
    .describe('How long an identity token stands for a login.'),
  x5c: flag
    .default(true)
    .describe(
      'Whether tokens show the certificate of their key, for registries with a rootcertbundle.',
    ),
  /** Other registries that tokens are made for, by their `service`. */
  services: z
    .array(
      z.strictObject({
        name: text.describe('Audience of another registry that tokens are made for.'),
        kid: z
          .enum(['rfc7638', 'libtrust'])
          .default('rfc7638')
          .describe('How a token for it names its key; libtrust is the way of distribution 2.8.'),
        x5c: flag
          .default(true)
          .describe('Whether a token for it shows the certificate of its key.'),
      }),
    )
    .default([]),
});

/** A registry that tokens are made for. */
export interface TokenService {
  name: string;
  /** How the token names its key. */
  kid: 'rfc7638' | 'libtrust';
  /** Whether the token shows the key's certificate. */
  x5c: boolean;
}

/** What tokens say, and how long they live in milliseconds. */
export interface TokenSettings {
  issuer: string;
  /** The one that this registry's own tokens are for. */
  service: string;
  /** Everyone that tokens are made for, the own service first. */
  services: [TokenService, ...TokenService[]];
  tokenTtl: number;
  /** Identity tokens: whether GET gives them, and how long they live. */
  identity: { onGet: boolean; ttl: number };
}

export function tokenSettings(token: z.infer<typeof tokensSchema>): TokenSettings {
  const { issuer, service, x5c, services, ttl, identity, identityttl } = token;
  return {
    issuer,
    service,
    services: [{ name: service, kid: 'rfc7638', x5c }, ...services],
    tokenTtl: ttl,
    identity: { onGet: identity, ttl: identityttl },
  };
}
