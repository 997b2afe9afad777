import { resolve } from 'node:path';
import type { ExternalIssuer } from '#libs/auth/external-issuer-keys.ts';
import type { Configuration } from './schema/configuration.ts';

/** What public keys can prove; `none` and symmetric ones never count. */
const algorithms = [
  ...['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512'],
  ...['ES256', 'ES384', 'ES512', 'EdDSA'],
];

/** @throws Error with one clear sentence */
export function externalIssuerSettings(
  token: NonNullable<Configuration['auth']>['token'],
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
    jwks: jwks === undefined || /^https?:/i.test(jwks) ? jwks : resolve(jwks),
    algorithms: wanted,
  };
}
