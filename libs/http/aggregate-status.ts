import { internalPaths } from '#libs/api/internal-paths.ts';
import { mergeExpositions } from '#libs/metrics/merge-expositions.ts';
import { Agent } from './node-http.ts';
import type { FailingChecks, ProcessStatus } from './process-status.ts';
import { requestText } from './request-text.ts';

/** Another of our processes, for which this one speaks. */
export interface Peer {
  process: string;
  /** Its private Unix socket. */
  socketPath: string;
}

/** What a debug server tells: of its own process, and of those it speaks for. */
export interface AggregateStatus {
  failing(): Promise<FailingChecks>;
  /** Undefined: nothing is measured. */
  expose: (() => Promise<string>) | undefined;
}

/** Milliseconds a peer may take; Prometheus' own limit is 10 s. */
const timeout = 5000;

/** Characters of a peer's metrics. */
const maxMetrics = 16 * 1024 * 1024;

/** Joins a process' own processStatus and those of its peers, who are asked each time. */
export function aggregateStatus(
  { process, processStatus }: { process: string; processStatus: ProcessStatus },
  peers: readonly Peer[],
): AggregateStatus {
  const agent = new Agent({ keepAlive: true, timeout: 60_000 });
  const { metrics } = processStatus;
  const up = metrics?.gauge(
    'portcullis_process_up',
    '1 for each process whose metrics are in this answer, 0 for one that did not answer',
    ['process'],
  );

  async function ask({ socketPath }: Peer, path: string, limit?: number): Promise<string> {
    const answer = await requestText({
      target: { socketPath },
      agent,
      method: 'GET',
      path,
      timeout: timeout,
      ...(limit === undefined ? {} : { limit }),
    });
    if (answer.status !== 200) throw new Error(`it answered ${answer.status}`);
    return answer.body;
  }

  return {
    async failing() {
      const others = await Promise.all(
        peers.map(async (peer): Promise<FailingChecks> => {
          try {
            return JSON.parse(await ask(peer, internalPaths.health)) as FailingChecks;
          } catch {
            return { [peer.process]: `${peer.process} does not answer` };
          }
        }),
      );
      return Object.assign(processStatus.failing(), ...others) as FailingChecks;
    },

    expose:
      metrics &&
      (async () => {
        const others = await Promise.all(
          peers.map((peer) => ask(peer, internalPaths.metrics, maxMetrics).catch(() => undefined)),
        );
        up?.set({ process }, 1);
        peers.forEach((peer, index) => {
          up?.set({ process: peer.process }, others[index] === undefined ? 0 : 1);
        });
        const texts = others.filter((text) => text !== undefined);
        return mergeExpositions([await metrics.expose(), ...texts]);
      }),
  };
}
