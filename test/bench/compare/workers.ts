import { rm } from 'node:fs/promises';
import type { Contender, Setting } from './contenders.ts';
import { startOurs } from './contenders.ts';
import { type Cost, pull, push, repeatGet } from './loads.ts';

/** What so many gateways do on so many processors. */
export interface WorkersCost {
  /** `2 gateways on 1 processor`. */
  name: string;
  got: Cost;
  pulled: Cost;
}

/** Pulls that go on at once. */
const pulls = 4;

/**
 * GET of small answers and of blobs from one gateway and from two, on one processor and on two; the client is on the second one, so that there it has
 * a share.
 * @param blob a file, and what it is
 */
export async function measureWorkers(
  setting: Setting,
  blob: { file: string; digest: string; mebibytes: number },
  seconds: number,
): Promise<WorkersCost[]> {
  const costs: WorkersCost[] = [];
  for (const [cpus, processors] of [
    ['0', '1 processor'],
    ['0,1', '2 processors'],
  ] as const) {
    for (const gateways of [1, 2]) {
      const name = `${gateways} ${gateways === 1 ? 'gateway' : 'gateways'} on ${processors}`;
      const one = await startOurs(setting, { name, how: 'sockets', cpus, gateways });
      try {
        costs.push({ name, ...(await measure(setting, one, blob, seconds)) });
      } finally {
        await one.stop();
        await rm(one.root, { recursive: true, force: true });
      }
    }
  }
  return costs;
}

async function measure(
  setting: Setting,
  one: Contender,
  blob: { file: string; digest: string; mebibytes: number },
  seconds: number,
): Promise<{ got: Cost; pulled: Cost }> {
  await push(setting, one, blob);
  const authorization = `Bearer ${await one.token?.('repository:bench/app:pull')}`;
  const path = `/v2/bench/app/blobs/${blob.digest}`;
  const whole = { path, mebibytes: blob.mebibytes };
  // The first of either is not counted.
  await pull(setting, one, whole, { atOnce: pulls });
  const pulled = await pull(setting, one, whole, { atOnce: pulls });
  const small = { path: '/v2/', authorization, seconds };
  await repeatGet(setting, one, { ...small, seconds: 1 });
  return { got: await repeatGet(setting, one, small), pulled };
}
