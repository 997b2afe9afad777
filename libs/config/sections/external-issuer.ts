import { resolve } from 'node:path';
import { z } from 'zod';
import type { ExternalIssuer } from '#libs/auth/external-issuer-keys.ts';
import { flag, text, textList } from '../../values/schema.ts';
import { keyLocation, resolveKeySet } from './key-location.ts';

/** `auth.token`: tokens that another server makes. */
export const externalIssuerSchema = z.object({
  realm: text.optional().describe('Address of the token server, as clients reach it.'),
  service: text.optional().describe('Audience that a token must have.'),
  issuer: text.optional().describe('Issuer that a token must have.'),
  rootcertbundle: text
    .optional()
    .describe('File of certificates and public keys (PEM) that sign tokens.'),
  jwks: keyLocation
    .optional()
    .describe('File or URL of a JWK Set (RFC 7517) with the keys that sign tokens.'),
  autoredirect: flag
    .optional()
    .describe('Whether clients get tokens at this host, on autoredirectpath.'),
  autoredirectpath: text.optional().describe('Path of the token server at this host.'),
  signingalgorithms: textList
    .optional()
    .describe('Signature algorithms that count; without it all that use a public key.'),
});

/** What public keys can prove; `none` and symmetric ones never count. */
const algorithms = [
  ...['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512'],
  ...['ES256', 'ES384', 'ES512', 'EdDSA'],
];

/** @throws Error with one clear sentence */
export function externalIssuerSettings(
  token: z.infer<typeof externalIssuerSchema> | undefined,
): ExternalIssuer | undefined {
  if (token === undefined) return undefined;
  const { realm, service, issuer, rootcertbundle, jwks, autoredirect, autoredirectpath } = token;
  const need = (value: string | undefined, key: string) => {
    if (value !== undefined && value !== '') return value;
    throw new Error(`auth.token.${key} is missing`);
  };
  if (rootcertbundle === undefined && jwks === undefined) {
    throw new Error('auth.token: name rootcertbundle or jwks, so that tokens can be verified');
  }
  const wanted = token.signingalgorithms ?? algorithms;
  const unfit = wanted.find((name) => !algorithms.includes(name));
  if (unfit !== undefined) {
    throw new Error(
      `auth.token.signingalgorithms: "${unfit}" is not an algorithm for public keys; use one of ${algorithms.join(', ')}`,
    );
  }
  return {
    realm: autoredirect === true ? undefined : need(realm, 'realm'),
    autoredirectPath: `/${(autoredirectpath ?? '/auth/token').replace(/^\/+/, '')}`,
    service: need(service, 'service'),
    issuer: need(issuer, 'issuer'),
    rootcertbundle: rootcertbundle === undefined ? undefined : resolve(rootcertbundle),
    jwks: resolveKeySet(jwks),
    algorithms: wanted,
  };
}
