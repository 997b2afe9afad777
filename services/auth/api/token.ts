import type { Middleware, ParameterizedContext } from 'koa';
import { formatBasicChallenge } from '#libs/auth/challenge.ts';
import { parseAuthorization } from '#libs/auth/credentials.ts';
import { formatScope, parseScopes } from '#libs/auth/scope.ts';
import type { RequestState } from '#libs/http/app.ts';
import { readBody } from '#libs/http/body.ts';
import { RegistryError } from '#libs/oci/errors.ts';
import { grantAccess } from '../grant.ts';
import { type IssueOptions, issueToken } from '../issue.ts';
import { callerOf } from '../policy/caller.ts';
import type { Policy } from '../policy/policy.ts';
import type { Revocations } from '../revocations.ts';
import type { UserStore } from '../users/user-store.ts';

/** Bytes of a token request's form. */
const maxForm = 64 * 1024;

/** Scopes of one request; more would make a token that no header can carry. */
const maxScopes = 100;

export interface TokenOptions {
  users: UserStore;
  policy: Policy;
  revocations: Revocations;
  issue: IssueOptions;
  /** Shown by a browser that asks for a password. */
  realm: string;
}

type Context = ParameterizedContext<RequestState>;

/** GET: Basic credentials or none, scopes in the query (distribution's "Token Authentication"). */
export function getToken(options: TokenOptions): Middleware<RequestState> {
  return async (ctx) => {
    const credentials = parseAuthorization(ctx.get('Authorization'));
    let account = '';
    if (credentials.scheme === 'basic') {
      account = await login(ctx, options, credentials.account, credentials.password);
    } else if (credentials.scheme !== 'none') {
      refuse(ctx, options, 'send a user name and password as Basic credentials');
    }
    const query = new URLSearchParams(ctx.querystring);
    const { token, expiresIn, issuedAt } = await grantToken(ctx, options, account, query);
    ctx.body = {
      token,
      access_token: token,
      expires_in: expiresIn,
      issued_at: issuedAt.toISOString(),
    };
  };
}

/** POST: the OAuth 2 form (distribution's "OAuth2 Token Authentication"); grant `password`. */
export function postToken(options: TokenOptions): Middleware<RequestState> {
  return async (ctx) => {
    const form = new URLSearchParams((await readBody(ctx.req, maxForm)).toString('utf8'));
    const grantType = form.get('grant_type');
    if (grantType !== 'password') {
      // Clients that tried something else fall back to GET on a 400.
      oauthError(ctx, 'unsupported_grant_type', `grant_type must be password, not "${grantType}"`);
      return;
    }
    const [username, password] = [form.get('username'), form.get('password')];
    if (username === null || password === null) {
      oauthError(ctx, 'invalid_request', 'username and password are needed');
      return;
    }
    const account = await login(ctx, options, username, password);
    const { access, token, expiresIn, issuedAt } = await grantToken(ctx, options, account, form);
    ctx.body = {
      access_token: token,
      token,
      scope: access.map(formatScope).join(' '),
      expires_in: expiresIn,
      issued_at: issuedAt.toISOString(),
    };
  };
}

async function login(
  ctx: Context,
  options: TokenOptions,
  account: string,
  password: string,
): Promise<string> {
  if (!(await options.users.verify(account, password, ctx.state.client))) {
    ctx.state.log.info({ subject: account, client: ctx.state.client }, 'login refused');
    refuse(ctx, options, 'incorrect username or password');
  }
  return account;
}

function refuse(ctx: Context, { realm }: TokenOptions, message: string): never {
  ctx.set('WWW-Authenticate', formatBasicChallenge(realm));
  throw new RegistryError('UNAUTHORIZED', { message });
}

async function grantToken(
  ctx: Context,
  { policy, revocations, issue }: TokenOptions,
  account: string,
  /** The query or the form. */
  asked: URLSearchParams,
) {
  const [own] = issue.services;
  const service = issue.services.find(({ name }) => name === asked.get('service')) ?? own;
  const wanted = parseScopes(asked.getAll('scope'));
  if (wanted.length > maxScopes) {
    throw new RegistryError('REQUEST_INVALID', {
      message: `a token is for at most ${maxScopes} scopes, not ${wanted.length}`,
    });
  }
  const caller = callerOf(account, { client: ctx.state.client, service: service.name });
  const grant = grantAccess(policy, caller, wanted);
  const revoked = revocations.all();
  const notBefore = Object.hasOwn(revoked, account) ? revoked[account] : 0;
  const issued = await issueToken(issue, { service, account, access: grant.access, notBefore });
  ctx.set('Cache-Control', 'no-store');
  ctx.state.access.subject = account;
  ctx.state.log.info(
    {
      subject: account,
      client: ctx.state.client,
      wanted: wanted.map(formatScope).join(' '),
      granted: grant.access.map(formatScope).join(' '),
      ...(grant.rules.length > 0 ? { rules: grant.rules } : {}),
    },
    'token issued',
  );
  for (const { type, name, action, by } of grant.denied) {
    const scope = formatScope({ type, name, actions: [action] });
    ctx.state.log.info({ subject: account, client: caller.client, scope, rule: by }, 'denied');
  }
  return { access: grant.access, ...issued };
}

function oauthError(ctx: Context, error: string, description: string): void {
  ctx.status = 400;
  ctx.set('Cache-Control', 'no-store');
  ctx.body = { error, error_description: description };
}
