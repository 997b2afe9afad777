import type { ParameterizedContext } from 'koa';
import type { RequestState } from '#libs/http/app.ts';
import { internalHeaders } from '#libs/http/internal-headers.ts';

/** Requests that a gateway asks for in one beside the first, at most. */
const most = 63;

/** The ids of the requests that a gateway asks for in one, which are the same but for these; its own is the first. */
export function requestIdsOf(ctx: ParameterizedContext<RequestState>): string[] {
  const { requestId, trusted } = ctx.state;
  const joined = trusted ? ctx.get(internalHeaders.joined) : '';
  return joined === '' ? [requestId] : [requestId, ...joined.split(',', most)];
}
