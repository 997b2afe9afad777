import type { ParameterizedContext } from 'koa';
import type { RequestState } from '#libs/http/app.ts';
import { internalHeaders } from '#libs/http/internal-headers.ts';

/** Requests that a gateway asks for in one, at most. */
const most = 64;

/** The ids of the requests that a gateway asks for in one, which are the same but for these. */
export function requestIdsOf(ctx: ParameterizedContext<RequestState>): string[] {
  const { requestId, trusted } = ctx.state;
  const [, ...others] = trusted ? ctx.get(internalHeaders.requestId).split(',', most) : [];
  return [requestId, ...others];
}
