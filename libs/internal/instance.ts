import type { Agent, RequestOptions } from 'node:http';
import { describeUnspoken, protocolOf } from '#libs/http/internal-protocol.ts';
import { requestText } from '#libs/http/request-text.ts';

/** How a request reaches a process. */
export interface Target {
  readonly target: RequestOptions & { protocol: 'http:' | 'https:' };
  readonly agent: Agent;
}

/** One process that serves us. */
export interface Instance extends Target {
  /** `unix:/…` or `address:port`: the same on every machine, so that all choose alike. */
  readonly name: string;
  /** Requests on their way. */
  inFlight: number;
  /** False once a request failed or a check did, until a check succeeds. */
  ready: boolean;
  /** Aborted when it took connections for a while and answered no check; another one when it is back. */
  down: AbortController;
}

/** An instance that is asked from time to time whether it is ready. */
export interface CheckedInstance extends Instance {
  /**
   * To be called once a second while somebody needs to know: asks it, unless it has not answered the last
   * question yet.
   * @param patience calls without an answer after which whoever waits for it waits no longer
   */
  check(patience: number): void;
  /** Nobody needs to know for now. */
  pauseChecks(): void;
}

/** Told what each check found. */
export type OnChecked = (instance: Instance, ready: boolean, why: string) => void;

/** Milliseconds an instance may take to say whether it is ready. */
const checkTimeout = 2000;

/**
 * Errors of one that answers nothing: it took the connection, or would have, and then said nothing in time, or its machine
 * cannot be reached. Whatever else fails, be it on our side, says nothing of what it has in hand.
 */
const silence: ReadonlySet<string> = new Set([
  'ABORT_ERR',
  'EAGAIN',
  'ETIMEDOUT',
  'EHOSTUNREACH',
  'EHOSTDOWN',
  'ENETUNREACH',
]);

export function createInstance(
  name: string,
  { target, agent }: Target,
  onChecked: OnChecked,
): CheckedInstance {
  let isAsking = false;
  /** Whether it said nothing to the last question. */
  let isSilent = false;
  /** Checks since it answered one, or since it takes no connections: seconds as far as this process itself ran. */
  let silentChecks = 0;

  async function ask(): Promise<void> {
    isAsking = true;
    try {
      const question = { target, agent, method: 'GET', path: '/readyz' } as const;
      const { status, headers } = await requestText({ ...question, timeout: checkTimeout });
      isSilent = false;
      if (instance.down.signal.aborted) instance.down = new AbortController();
      const unspoken = describeUnspoken(protocolOf(headers));
      const ready = status === 200 && unspoken === undefined;
      onChecked(instance, ready, unspoken ?? `it answered ${status}`);
    } catch (error) {
      const { code = '', message } = error as NodeJS.ErrnoException;
      isSilent = silence.has(code);
      onChecked(instance, false, message);
    } finally {
      isAsking = false;
    }
  }

  const instance: CheckedInstance = {
    name,
    target,
    agent,
    inFlight: 0,
    ready: true,
    down: new AbortController(),

    check(patience) {
      silentChecks = isAsking || isSilent ? silentChecks + 1 : 0;
      if (silentChecks >= patience) instance.down.abort();
      if (!isAsking) void ask();
    },

    pauseChecks() {
      isSilent = false;
      silentChecks = 0;
    },
  };
  return instance;
}
