import { whileClientWaits } from '#libs/http/client-gone.ts';
import { internalHeaders } from '#libs/http/internal-headers.ts';
import { nameOf, partiesOf } from '#libs/limits/parties.ts';
import type { Requester } from '../sessions/locks.ts';
import type { CoreContext } from './handler.ts';

/** On whose behalf a request is carried out: as long as its connection is there, and its gateway waits. */
export function requesterOf(ctx: CoreContext): Requester {
  return {
    id: ctx.state.trusted ? ctx.get(internalHeaders.attempt) : '',
    signal: whileClientWaits(ctx.res),
    // Who it is, is known once its token is verified.
    get party() {
      const { client, subject } = ctx.state.caller;
      return nameOf(partiesOf(client, subject));
    },
  };
}
