import type { ParameterizedContext } from 'koa';
import { formatBasicChallenge } from '#libs/auth/challenge.ts';
import { parseAuthorization } from '#libs/auth/credentials.ts';
import type { RequestState } from '#libs/http/app.ts';
import { whileClientWaits } from '#libs/http/client-gone.ts';
import { RegistryError } from '#libs/oci/errors.ts';
import { maxAccountLength } from '#libs/values/account.ts';
import type { Identities, Identity, LoginContext, LoginResult } from '../identities/identities.ts';
import type { LoginLimits } from '../limits/login-limits.ts';
import { OAuthError } from './oauth-error.ts';
import type { TokenRecord } from './token-record.ts';

/** RFC 8693, sections 2.1 and 3. */
export const tokenExchange = 'urn:ietf:params:oauth:grant-type:token-exchange';
export const tokenType = 'urn:ietf:params:oauth:token-type:';

export interface LoginOptions {
  identities: Identities;
  limits: Pick<LoginLimits, 'anonymous'>;
  /** Shown by a browser that asks for a password. */
  realm: string;
  /** Where it is written down how requests end. */
  record: TokenRecord;
}

type Context = ParameterizedContext<RequestState>;

/** Somebody without a login. */
const anonymous: Identity = { account: '', details: undefined, secretHash: undefined };

/**
 * Who asks by GET: Basic credentials, or nobody.
 * @throws RegistryError UNAUTHORIZED, TOOMANYREQUESTS
 */
export async function identifyByHeader(ctx: Context, options: LoginOptions): Promise<Identity> {
  const credentials = parseAuthorization(ctx.get('Authorization'));
  if (credentials.scheme === 'none') {
    await options.limits.anonymous(ctx.state.client);
    return anonymous;
  }
  if (credentials.scheme !== 'basic') {
    throw unauthorized(ctx, options, 'send a user name and password as Basic credentials');
  }
  return await identifyByPassword(ctx, options, credentials.account, credentials.password);
}

/** Finds out who asks by POST. @throws OAuthError; RegistryError UNAUTHORIZED, TOOMANYREQUESTS */
type Grant = (
  ctx: Context,
  options: LoginOptions,
  form: URLSearchParams,
  /** The registry that the token shall be for. */
  service: string,
) => Promise<Identity>;

const grants: Readonly<Record<string, Grant>> = {
  async password(ctx, options, form) {
    const [username, password] = [form.get('username'), form.get('password')];
    if (username === null || password === null) {
      throw new OAuthError('invalid_request', 'username and password are needed');
    }
    return await identifyByPassword(ctx, options, username, password);
  },

  async refresh_token(ctx, options, form, service) {
    const token = form.get('refresh_token');
    if (token === null) throw new OAuthError('invalid_request', 'refresh_token is needed');
    const result = await options.identities.byIdentityToken(token, service, loginContextOf(ctx));
    recordLogin(ctx, options, '', 'identity token', result);
    if (!('refused' in result)) return result;
    throw unauthorized(ctx, options, 'the identity token is not valid; log in again');
  },

  async [tokenExchange](ctx, options, form) {
    const [token, type] = [form.get('subject_token'), form.get('subject_token_type')];
    if (token === null || ![`${tokenType}jwt`, `${tokenType}id_token`].includes(type ?? '')) {
      const what = `subject_token is needed, and subject_token_type ${tokenType}id_token or jwt`;
      throw new OAuthError('invalid_request', what);
    }
    const result = await options.identities.byWorkloadToken(token, loginContextOf(ctx));
    recordLogin(ctx, options, '', 'workload token', result);
    if (!('refused' in result)) return result;
    const message = `the subject_token is not accepted: ${result.refused}`;
    throw new OAuthError('invalid_request', message);
  },
};

/** Who asks by POST, as the `grant_type` of the form says. @throws OAuthError, RegistryError */
export async function identifyByGrant(
  ctx: Context,
  options: LoginOptions,
  form: URLSearchParams,
  service: string,
): Promise<Identity> {
  const grantType = form.get('grant_type') ?? '';
  const identify = Object.hasOwn(grants, grantType) ? grants[grantType] : undefined;
  if (identify !== undefined) return await identify(ctx, options, form, service);
  // Clients that tried something else fall back to GET on a 400.
  const known = Object.keys(grants).join(', ');
  throw new OAuthError('unsupported_grant_type', `grant_type must be one of ${known}`);
}

async function identifyByPassword(
  ctx: Context,
  options: LoginOptions,
  account: string,
  password: string,
): Promise<Identity> {
  const result = await options.identities.login(account, password, loginContextOf(ctx));
  recordLogin(ctx, options, account, 'password', result);
  if (!('refused' in result)) return result;
  throw unauthorized(ctx, options, 'incorrect username or password');
}

function loginContextOf({ state, res }: Context): LoginContext {
  return { client: state.client, signal: whileClientWaits(res) };
}

/** Writes down how a login ended. */
function recordLogin(
  { state: { client, requestId } }: Context,
  { record }: LoginOptions,
  account: string,
  by: 'password' | 'identity token' | 'workload token',
  result: LoginResult,
): void {
  if ('refused' in result) {
    const subject = account.slice(0, maxAccountLength);
    record.refused({ subject, client, by, requestId, why: result.refused });
  } else {
    record.login({ subject: result.account, client, by, requestId });
  }
}

function unauthorized(ctx: Context, { realm }: LoginOptions, message: string): RegistryError {
  ctx.set('WWW-Authenticate', formatBasicChallenge(realm));
  return new RegistryError('UNAUTHORIZED', { message });
}
