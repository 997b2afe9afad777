import type { ParameterizedContext } from 'koa';
import type { RequestState } from '#libs/http/app.ts';
import { internalHeaders } from '#libs/http/internal-headers.ts';
import { mostJoined } from '#libs/http/internal-protocol.ts';

/** The ids of the requests that a gateway asks for in one, which are the same but for these; its own is the first. */
export function requestIdsOf(ctx: ParameterizedContext<RequestState>): string[] {
  const { requestId, trusted } = ctx.state;
  const joined = trusted ? ctx.get(internalHeaders.joined) : '';
  return joined === '' ? [requestId] : [requestId, ...joined.split(',', mostJoined - 1)];
}
