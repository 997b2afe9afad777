import { errors } from 'jose';

/** What jose's codes mean, in words for whoever sent the token and for the log. */
const meanings: Readonly<Record<string, string>> = {
  ERR_JWT_EXPIRED: 'the token has expired',
  ERR_JWT_INVALID: 'not a valid token',
  ERR_JWS_INVALID: 'not a valid token',
  ERR_JWS_SIGNATURE_VERIFICATION_FAILED: 'the signature of the token is not valid',
  ERR_JWKS_NO_MATCHING_KEY: 'the signing key is not known',
  ERR_JWKS_MULTIPLE_MATCHING_KEYS: 'the token does not say which of the known keys has signed it',
  ERR_JOSE_ALG_NOT_ALLOWED: 'the signature algorithm of the token is not accepted',
  ERR_JOSE_NOT_SUPPORTED: 'the token needs a feature that is not supported',
};

/** Says why `jose` does not accept a token; holds nothing of the token but the name of a claim. */
export function describeTokenFault(error: unknown): string {
  if (error instanceof errors.JWTExpired) return meanings.ERR_JWT_EXPIRED as string;
  if (error instanceof errors.JWTClaimValidationFailed) {
    const { claim, reason } = error;
    if (reason === 'missing') return `claim ${claim} is missing`;
    if (claim === 'aud') return 'the token is for another service (claim aud)';
    if (claim === 'iss') return 'the token is of another issuer (claim iss)';
    if (claim === 'nbf' && reason === 'check_failed')
      return 'the token is not valid yet (claim nbf)';
    if (claim === 'iat' && reason === 'check_failed')
      return 'the token is of the future (claim iat)';
    return `claim ${claim} is not valid`;
  }
  return meanings[(error as { code?: string } | null)?.code ?? ''] ?? 'not a token';
}
