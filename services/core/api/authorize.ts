import type { Middleware } from 'koa';
import { formatScope } from '#libs/access/scope.ts';
import { matchRoute } from '#libs/api/match-route.ts';
import { isAllowed, requestedAccess } from '#libs/api/required-access.ts';
import type { RefusalRecord, RefusedToken } from '#libs/audit/refusal-record.ts';
import type { Claims } from '#libs/auth/claims.ts';
import { parseAuthorization } from '#libs/auth/credentials.ts';
import type { Verifier } from '#libs/auth/verify.ts';
import { RegistryError } from '#libs/oci/errors.ts';
import { uploadGrace } from '#libs/values/lifetimes.ts';
import type { Registry } from '../registry/registry.ts';
import type { CoreContext, CoreState } from './handler.ts';

/**
 * Finds the route and judges the token, by the same function as the gateway: a core that is reached
 * by mistake is not open. Without a verifier the registry is open to all.
 */
export function authorize(
  verifier: Verifier | undefined,
  registry: Registry,
  refusals?: Pick<RefusalRecord, 'refused'>,
): Middleware<CoreState> {
  return async (ctx, next) => {
    const match = matchRoute(ctx.method, ctx.path);
    ctx.state.match = match;
    ctx.state.access.route = match.route.id;
    if (match.params.name !== undefined) ctx.state.access.repository = match.params.name;
    const { client } = ctx.state;
    if (verifier === undefined) {
      ctx.state.caller = { subject: '', details: undefined, client, granted: undefined };
    } else {
      const claims = await authenticate(ctx, verifier, registry, refusals);
      const { sub: subject, caller: details, access: granted } = claims;
      ctx.state.caller = { subject, details, client, granted };
      ctx.state.access.subject = claims.sub;
      if (!isAllowed(match, claims.access)) {
        record(ctx, refusals, { event: 'denied', subject, why: 'not granted' });
        throw new RegistryError('UNAUTHORIZED');
      }
    }
    await next();
  };
}

async function authenticate(
  ctx: CoreContext,
  verifier: Verifier,
  registry: Registry,
  refusals: Pick<RefusalRecord, 'refused'> | undefined,
): Promise<Claims> {
  const credentials = parseAuthorization(ctx.get('Authorization'));
  if (credentials.scheme !== 'bearer') throw new RegistryError('UNAUTHORIZED');
  const result = await verifier.verify(credentials.token);
  if (result.ok) return result.claims;
  if (result.expired !== undefined && (await mayFinish(ctx, result.expired, registry))) {
    return result.expired;
  }
  if (result.expired === undefined) {
    const { subject, why, isForged } = result;
    const event = isForged === true ? 'forged' : 'denied';
    record(ctx, refusals, { event, subject: subject ?? '', why });
  }
  throw new RegistryError('UNAUTHORIZED', { message: `authentication required: ${result.why}` });
}

function record(
  { state: { match, client, requestId } }: CoreContext,
  refusals: Pick<RefusalRecord, 'refused'> | undefined,
  refused: Pick<RefusedToken, 'event' | 'subject' | 'why'>,
): void {
  const scope = requestedAccess(match).map(formatScope).join(' ');
  refusals?.refused({ ...refused, scope, client, requestId });
}

/** A long upload outlives its token, on its own session's URL and for its own subject only. */
async function mayFinish(ctx: CoreContext, claims: Claims, registry: Registry): Promise<boolean> {
  const { name, session } = ctx.state.match.params;
  if (session === undefined) return false;
  try {
    const key = { repository: name, id: session, subject: claims.sub };
    const { startedAt } = await registry.uploads.find(key);
    return Date.now() - startedAt.getTime() < uploadGrace;
  } catch (error) {
    if (error instanceof RegistryError && error.code === 'BLOB_UPLOAD_UNKNOWN') return false;
    throw error;
  }
}
