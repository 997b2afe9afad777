import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import type { BcryptResult, BcryptWork } from './bcrypt-worker.ts';

/** Threads that do bcrypt's work, so that the event loop stays free. Each does one thing at a time. */
export interface BcryptPool {
  /** How many there are; who asks for more at once has to wait. */
  readonly size: number;
  /**
   * Takes longer than the work itself where a thread has to be started, or others came before.
   * @throws Error if the thread died of it
   */
  run<Work extends BcryptWork>(work: Work): Promise<BcryptResult<Work>>;
  close(): Promise<void>;
}

interface Job {
  work: BcryptWork;
  resolve(result: never): void;
  reject(error: unknown): void;
}

/** Milliseconds after which a thread that died is started again. */
const restartDelay = 500;

/** @param script what the threads run */
export function createBcryptPool(
  size = Math.max(1, Math.min(4, availableParallelism() - 1)),
  script = new URL('./bcrypt-worker.ts', import.meta.url),
): BcryptPool {
  const waiting: Job[] = [];
  const idle: Worker[] = [];
  const working = new Map<Worker, Job>();
  const alive = new Set<Worker>();
  let closed = false;

  function start(index: number): Worker {
    const worker = new Worker(script);
    worker.unref();
    worker.on('message', (result: BcryptResult<BcryptWork>) => {
      working.get(worker)?.resolve(result as never);
      next(worker);
    });
    worker.on('error', (error: unknown) => {
      alive.delete(worker);
      working.get(worker)?.reject(error);
      working.delete(worker);
      const place = idle.indexOf(worker);
      if (place >= 0) idle.splice(place, 1);
      // Nobody waits for threads that cannot be started: each start that fails answers those who came before it.
      if (alive.size === 0) for (const job of waiting.splice(0)) job.reject(error);
      setTimeout(() => {
        if (!closed) workers[index] = start(index);
      }, restartDelay).unref();
    });
    alive.add(worker);
    next(worker);
    return worker;
  }

  function next(worker: Worker): void {
    working.delete(worker);
    const job = waiting.shift();
    if (job === undefined) idle.push(worker);
    else assign(worker, job);
  }

  function assign(worker: Worker, job: Job): void {
    working.set(worker, job);
    worker.postMessage(job.work);
  }
  /** Started when there is something for them: a thread takes 10 MiB. */
  const workers: Worker[] = [];

  return {
    size,
    async run(work) {
      return await new Promise((resolve, reject) => {
        const job: Job = { work, resolve, reject };
        const worker = idle.pop();
        if (worker !== undefined) assign(worker, job);
        else {
          waiting.push(job);
          if (workers.length < size) workers.push(start(workers.length));
        }
      });
    },
    async close() {
      closed = true;
      await Promise.all(workers.map((worker) => worker.terminate()));
      const left = [...waiting.splice(0), ...working.values()];
      for (const { reject } of left) reject(new Error('the token service is stopping'));
    },
  };
}
