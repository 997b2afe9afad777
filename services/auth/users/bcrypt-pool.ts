import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import { RegistryError } from '#libs/oci/errors.ts';
import type { ComparisonResult } from './bcrypt-worker.ts';

/** Comparisons that may wait; more at once is an attack or a misconfiguration. */
const maxWaiting = 500;

/** Compares passwords with bcrypt hashes in threads, so that the event loop stays free. */
export interface BcryptPool {
  /** @throws RegistryError TOOMANYREQUESTS if too many comparisons wait */
  compare(password: string, hash: string): Promise<boolean>;
  close(): Promise<void>;
}

interface Job {
  resolve: (equal: boolean) => void;
  reject: (error: unknown) => void;
}

export function createBcryptPool(
  size = Math.max(1, Math.min(4, availableParallelism() - 1)),
): BcryptPool {
  const jobs = new Map<number, Job>();
  let nextId = 0;
  let closed = false;

  const startWorker = (): Worker => {
    const worker = new Worker(new URL('./bcrypt-worker.ts', import.meta.url));
    worker.unref();
    worker.on('message', ({ id, equal }: ComparisonResult) => {
      jobs.get(id)?.resolve(equal);
      jobs.delete(id);
    });
    worker.on('error', (error: unknown) => {
      // What this worker was given is not known apart, so all that waits is told to try again.
      for (const job of jobs.values()) job.reject(error);
      jobs.clear();
      if (!closed) workers[workers.indexOf(worker)] = startWorker();
    });
    return worker;
  };
  const workers = Array.from({ length: size }, startWorker);

  return {
    async compare(password, hash) {
      if (jobs.size >= maxWaiting) {
        throw new RegistryError('TOOMANYREQUESTS', {
          message: 'too many logins at once; try again',
          retryAfter: 2,
        });
      }
      const id = nextId++;
      return await new Promise<boolean>((resolve, reject) => {
        jobs.set(id, { resolve, reject });
        workers[id % workers.length]?.postMessage({ id, password, hash });
      });
    },
    async close() {
      closed = true;
      await Promise.all(workers.map((worker) => worker.terminate()));
    },
  };
}
