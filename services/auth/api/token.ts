import type { Middleware, ParameterizedContext } from 'koa';
import { type Access, formatScope, parseScopes } from '#libs/access/scope.ts';
import { formatBasicChallenge } from '#libs/auth/challenge.ts';
import { parseAuthorization } from '#libs/auth/credentials.ts';
import { maxAccountLength } from '#libs/auth/htpasswd.ts';
import type { TokenService } from '#libs/config/auth-settings.ts';
import type { RequestState } from '#libs/http/app.ts';
import { readBody } from '#libs/http/body.ts';
import { whileClientWaits } from '#libs/http/client-gone.ts';
import { RegistryError } from '#libs/oci/errors.ts';
import { callerOf } from '#libs/policy/caller.ts';
import type { Policy } from '#libs/policy/policy.ts';
import { type Grant as Granted, grantAccess } from '../grant.ts';
import type { Identities, Identity, LoginContext, LoginResult } from '../identities/identities.ts';
import type { IdentityTokens } from '../identities/identity-tokens.ts';
import { type IssueOptions, issueToken } from '../issue.ts';
import type { LoginLimits } from '../limits/login-limits.ts';
import type { Revocations } from '../revocations.ts';
import { describeScope, describeScopes } from './describe-scopes.ts';
import type { TokenRecord } from './token-record.ts';

/** Bytes of a token request's form. */
const maxForm = 64 * 1024;

/** Scopes of one request: clients ask for one or two, and more than these would make a token that no header can carry. */
const maxScopes = { anonymous: 10, account: 100 } as const;

/** Denials and rules of one request that its line tells. */
const maxTold = 5;

/** Characters of a token that proxies and servers still take in a header. */
const maxToken = 8 * 1024;

/** RFC 8693, section 2.1 and 3. */
const exchangeGrant = 'urn:ietf:params:oauth:grant-type:token-exchange';
const tokenType = 'urn:ietf:params:oauth:token-type:';

export interface TokenOptions {
  identities: Identities;
  identityTokens: IdentityTokens;
  limits: Pick<LoginLimits, 'anonymous'>;
  /** Whether GET gives identity tokens to who asks for one. */
  identityOnGet: boolean;
  policy: () => Policy;
  revocations: Revocations;
  issue: IssueOptions;
  /** Shown by a browser that asks for a password. */
  realm: string;
  /** Where it is written down how requests end. */
  record: TokenRecord;
}

type Context = ParameterizedContext<RequestState>;

/** Somebody without a login. */
const anonymous: Identity = { account: '', details: undefined, secretHash: undefined };

const loginContextOf = ({ state, res }: Context): LoginContext => ({
  client: state.client,
  signal: whileClientWaits(res),
});

/** GET: Basic credentials or none, scopes in the query (distribution's "Token Authentication"). */
export function getToken(options: TokenOptions): Middleware<RequestState> {
  return async (ctx) => {
    const credentials = parseAuthorization(ctx.get('Authorization'));
    let identity = anonymous;
    if (credentials.scheme === 'basic') {
      const { account, password } = credentials;
      const result = await options.identities.login(account, password, loginContextOf(ctx));
      const found = acceptLogin(ctx, options, account, 'password', result);
      identity = found ?? refuse(ctx, options, 'incorrect username or password');
    } else if (credentials.scheme !== 'none') {
      refuse(ctx, options, 'send a user name and password as Basic credentials');
    } else {
      await options.limits.anonymous(ctx.state.client);
    }
    const asked = new URLSearchParams(ctx.querystring);
    const wantsIdentity = options.identityOnGet && asked.get('offline_token') === 'true';
    const { token, expiresIn, issuedAt, service } = await grantToken(ctx, options, identity, asked);
    ctx.body = {
      token,
      access_token: token,
      expires_in: expiresIn,
      issued_at: issuedAt.toISOString(),
      ...(wantsIdentity ? await identityToken(options, identity, service) : {}),
    };
  };
}

/**
 * POST: the OAuth 2 form (distribution's "OAuth2 Token Authentication"): grants `password` and `refresh_token`,
 * and the exchange of a workload's token (RFC 8693).
 */
export function postToken(options: TokenOptions): Middleware<RequestState> {
  return async (ctx) => {
    const form = new URLSearchParams((await readBody(ctx.req, maxForm)).toString('utf8'));
    const grantType = form.get('grant_type') ?? '';
    const identify = Object.hasOwn(grants, grantType) ? grants[grantType] : undefined;
    if (identify === undefined) {
      // Clients that tried something else fall back to GET on a 400.
      const known = Object.keys(grants).join(', ');
      oauthError(ctx, 'unsupported_grant_type', `grant_type must be one of ${known}`);
      return;
    }
    const identity = await identify(ctx, options, form);
    if (identity === undefined) return;
    const granted = await grantToken(ctx, options, identity, form);
    const { access, token, expiresIn, issuedAt, service } = granted;
    const refreshed = grantType === 'refresh_token' ? form.get('refresh_token') : null;
    const offline = form.get('access_type') === 'offline' && refreshed === null;
    ctx.body = {
      access_token: token,
      token,
      scope: access.map(formatScope).join(' '),
      expires_in: expiresIn,
      issued_at: issuedAt.toISOString(),
      ...(grantType === exchangeGrant
        ? { issued_token_type: `${tokenType}access_token`, token_type: 'Bearer' }
        : {}),
      // The same one: who has it does not have it for longer by using it.
      ...(refreshed === null ? {} : { refresh_token: refreshed }),
      ...(offline ? await identityToken(options, identity, service) : {}),
    };
  };
}

/** Finds out who asks. @returns undefined if it has answered already */
type Grant = (
  ctx: Context,
  options: TokenOptions,
  form: URLSearchParams,
) => Promise<Identity | undefined>;

const grants: Readonly<Record<string, Grant>> = {
  async password(ctx, options, form) {
    const [username, password] = [form.get('username'), form.get('password')];
    if (username === null || password === null) {
      return oauthError(ctx, 'invalid_request', 'username and password are needed');
    }
    const result = await options.identities.login(username, password, loginContextOf(ctx));
    const identity = acceptLogin(ctx, options, username, 'password', result);
    return identity ?? refuse(ctx, options, 'incorrect username or password');
  },

  async refresh_token(ctx, options, form) {
    const token = form.get('refresh_token');
    if (token === null) return oauthError(ctx, 'invalid_request', 'refresh_token is needed');
    const { name } = serviceFor(options.issue, form);
    const result = await options.identities.byIdentityToken(token, name, loginContextOf(ctx));
    const identity = acceptLogin(ctx, options, '', 'identity token', result);
    return identity ?? refuse(ctx, options, 'the identity token is not valid; log in again');
  },

  async [exchangeGrant](ctx, options, form) {
    const [token, type] = [form.get('subject_token'), form.get('subject_token_type')];
    if (token === null || ![`${tokenType}jwt`, `${tokenType}id_token`].includes(type ?? '')) {
      const what = `subject_token is needed, and subject_token_type ${tokenType}id_token or jwt`;
      return oauthError(ctx, 'invalid_request', what);
    }
    const result = await options.identities.byWorkloadToken(token, loginContextOf(ctx));
    const identity = acceptLogin(ctx, options, '', 'workload token', result);
    if (identity !== undefined) return identity;
    const why = 'refused' in result ? result.refused : '';
    return oauthError(ctx, 'invalid_request', `the subject_token is not accepted: ${why}`);
  },
};

/** Writes down how a login ended. @returns undefined if it was refused */
function acceptLogin(
  ctx: Context,
  { record }: TokenOptions,
  account: string,
  by: 'password' | 'identity token' | 'workload token',
  result: LoginResult,
): Identity | undefined {
  const { client, requestId } = ctx.state;
  if (!('refused' in result)) {
    record.login({ subject: result.account, client, by, requestId });
    return result;
  }
  const subject = account.slice(0, maxAccountLength);
  record.refused({ subject, client, by, requestId, why: result.refused });
  return undefined;
}

function refuse(ctx: Context, { realm }: TokenOptions, message: string): never {
  ctx.set('WWW-Authenticate', formatBasicChallenge(realm));
  throw new RegistryError('UNAUTHORIZED', { message });
}

/** Whom a token is for: the service that is asked for, if it is a configured one. */
function serviceFor({ services }: IssueOptions, asked: URLSearchParams): TokenService {
  return services.find(({ name }) => name === asked.get('service')) ?? services[0];
}

async function grantToken(
  ctx: Context,
  options: TokenOptions,
  { account, access: ofRobot, details, until }: Identity,
  /** The query or the form. */
  asked: URLSearchParams,
) {
  const { policy, revocations, issue, record } = options;
  const { client, requestId } = ctx.state;
  const service = serviceFor(issue, asked);
  const wanted = parseScopes(asked.getAll('scope'));
  const most = account === '' ? maxScopes.anonymous : maxScopes.account;
  if (wanted.length > most) {
    throw new RegistryError('REQUEST_INVALID', {
      message: `a token is for at most ${most} scopes${account === '' ? ' without a login' : ''}, not ${wanted.length}`,
    });
  }
  const caller = callerOf(account, { ...details, access: ofRobot, client, service: service.name });
  // What a robot was made for is in this registry.
  const elsewhere = ofRobot !== undefined && service !== issue.services[0];
  const granted = grantAccess(policy(), caller, elsewhere ? [] : wanted);
  const { access } = granted;
  const notBefore = revocations.notBefore(account);
  const content = { service, account, access, caller: details, notBefore, until };
  const issued = await issueToken(issue, content);
  if (issued.token.length > maxToken) {
    throw new RegistryError('REQUEST_INVALID', {
      message: 'the token would be longer than a header may be; ask for fewer scopes at once',
    });
  }
  ctx.set('Cache-Control', 'no-store');
  ctx.state.access.subject = account;
  record.issued({
    subject: account,
    client,
    requestId,
    service: service.name,
    ...describeGrant(wanted, granted),
  });
  return { access, service, ...issued };
}

/** What was asked for and what came of it, in a bounded number of characters. */
function describeGrant(wanted: readonly Access[], { access, denied, rules }: Granted) {
  const told = denied.slice(0, maxTold).map(({ type, name, action, by }) => ({
    scope: describeScope({ type, name, actions: [action] }),
    rule: by,
  }));
  const untold = denied.length - told.length;
  return {
    wanted: describeScopes(wanted),
    granted: describeScopes(access),
    ...(rules.length > 0 ? { rules: rules.slice(0, maxScopes.anonymous) } : {}),
    ...(told.length > 0 ? { denied: told } : {}),
    ...(untold > 0 ? { deniedMore: untold } : {}),
  };
}

/** An identity token for whoever can have one. */
async function identityToken(
  { identityTokens, revocations }: TokenOptions,
  { account, secretHash }: Identity,
  { name }: TokenService,
): Promise<{ refresh_token?: string }> {
  if (secretHash === undefined) return {};
  const notBefore = revocations.notBefore(account);
  return { refresh_token: await identityTokens.issue(account, secretHash, name, notBefore) };
}

function oauthError(ctx: Context, error: string, description: string): undefined {
  ctx.status = 400;
  ctx.set('Cache-Control', 'no-store');
  ctx.body = { error, error_description: description };
}
