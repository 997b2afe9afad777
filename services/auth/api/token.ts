import type { Middleware, ParameterizedContext } from 'koa';
import { type Access, formatScope, parseScopes } from '#libs/access/scope.ts';
import type { TokenService } from '#libs/config/sections/tokens.ts';
import type { RequestState } from '#libs/http/app.ts';
import { readBody } from '#libs/http/body.ts';
import { whileClientWaits } from '#libs/http/client-gone.ts';
import type { TurnOptions } from '#libs/limits/in-turn.ts';
import { partiesOf } from '#libs/limits/parties.ts';
import { RegistryError } from '#libs/oci/errors.ts';
import { callerOf } from '#libs/policy/caller.ts';
import type { Policy } from '#libs/policy/policy.ts';
import type { AuthBudgets } from '../budgets.ts';
import { type Grant as Granted, grantAccess } from '../grant.ts';
import type { Identity } from '../identities/identities.ts';
import type { IdentityTokens } from '../identities/identity-tokens.ts';
import { type IssueOptions, issueToken } from '../issue.ts';
import type { Revocations } from '../revocations.ts';
import { describeScope, describeScopes } from './describe-scopes.ts';
import {
  identifyByGrant,
  identifyByHeader,
  type LoginOptions,
  tokenExchange,
  tokenType,
} from './identify.ts';
import { requestIdsOf } from './joined-requests.ts';
import { answerOAuthError, OAuthError } from './oauth-error.ts';

/** Bytes of a token request's form. */
const maxForm = 64 * 1024;

/** Bytes of most forms. */
const usualForm = 2 * 1024;

/** Milliseconds for all of it. */
const formTimeout = 30_000;

/** Scopes of one request: clients ask for one or two, and more than these would make a token that no header can carry. */
const maxScopes = { anonymous: 10, account: 100 } as const;

/** Denials and rules of one request that its line tells. */
const maxTold = 5;

/** Characters of a token that proxies and servers still take in a header. */
const maxToken = 8 * 1024;

export interface TokenOptions extends LoginOptions {
  identityTokens: IdentityTokens;
  /** Whether GET gives identity tokens to who asks for one. */
  identityOnGet: boolean;
  policy: () => Policy;
  revocations: Revocations;
  issue: IssueOptions;
  budgets: AuthBudgets;
}

type Context = ParameterizedContext<RequestState>;

/** GET: Basic credentials or none, scopes in the query (distribution's "Token Authentication"). */
export function getToken(options: TokenOptions): Middleware<RequestState> {
  return async (ctx) => {
    const identity = await identifyByHeader(ctx, options);
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
    const form = await readForm(ctx, options.budgets);
    try {
      ctx.body = await answerForm(ctx, options, form);
    } catch (error) {
      if (!(error instanceof OAuthError)) throw error;
      answerOAuthError(ctx, error);
    }
  };
}

/** @throws RegistryError */
async function readForm(ctx: Context, { forms }: AuthBudgets): Promise<URLSearchParams> {
  const { 'content-length': length } = ctx.req.headers;
  // What does not say how long it is may be as long as any.
  const size = Math.min(length === undefined ? maxForm : Number(length), maxForm);
  const signal = whileClientWaits(ctx.res);
  const parties = partiesOf(ctx.state.client);
  using memory = await forms.takeGrowing(parties, Math.min(size, usualForm), { signal });
  const bytes = await readBody(ctx.req, maxForm, { within: formTimeout, signal, memory });
  return new URLSearchParams(bytes.toString('utf8'));
}

/** @throws OAuthError, RegistryError */
async function answerForm(ctx: Context, options: TokenOptions, form: URLSearchParams) {
  const { name } = serviceFor(options.issue, form);
  const identity = await identifyByGrant(ctx, options, form, name);
  const granted = await grantToken(ctx, options, identity, form);
  const { access, token, expiresIn, issuedAt, service } = granted;
  const grantType = form.get('grant_type');
  const refreshed = grantType === 'refresh_token' ? form.get('refresh_token') : null;
  const offline = form.get('access_type') === 'offline' && refreshed === null;
  return {
    access_token: token,
    token,
    scope: access.map(formatScope).join(' '),
    expires_in: expiresIn,
    issued_at: issuedAt.toISOString(),
    ...(grantType === tokenExchange
      ? { issued_token_type: `${tokenType}access_token`, token_type: 'Bearer' }
      : {}),
    // The same one: who has it does not have it for longer by using it.
    ...(refreshed === null ? {} : { refresh_token: refreshed }),
    ...(offline ? await identityToken(options, identity, service) : {}),
  };
}

/** Whom a token is for: the service that is asked for, if it is a configured one. */
function serviceFor({ services }: IssueOptions, asked: URLSearchParams): TokenService {
  return services.find(({ name }) => name === asked.get('service')) ?? services[0];
}

/** For the log: that a token was asked for a service which no token is for, as a client does that another registry sent. */
function describeOtherService(asked: URLSearchParams, { name }: TokenService) {
  const wanted = asked.get('service') ?? name;
  return wanted === name ? {} : { askedService: wanted.slice(0, 100).toWellFormed() };
}

async function grantToken(
  ctx: Context,
  options: TokenOptions,
  { account, access: ofRobot, details, until }: Identity,
  /** The query or the form. */
  asked: URLSearchParams,
) {
  const { policy, revocations, issue, record } = options;
  const { client } = ctx.state;
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
  const granted = await grantAccess(policy(), caller, elsewhere ? [] : wanted, turnOf(ctx));
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
  const facts = {
    subject: account,
    client,
    service: service.name,
    ...describeOtherService(asked, service),
    ...describeGrant(wanted, granted),
  };
  for (const [index, requestId] of requestIdsOf(ctx).entries()) {
    // The first has been told of; a proxy may give one and the same id to several.
    if (index > 0) record.login({ subject: account, client, by: 'password', requestId });
    record.issued({ ...facts, requestId });
  }
  return { access, service, ...issued };
}

/** Whose turn it is to have something decided: a network's, whatever accounts it has. */
export function turnOf(ctx: Context): TurnOptions {
  return { party: partiesOf(ctx.state.client).networks[0], signal: whileClientWaits(ctx.res) };
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
