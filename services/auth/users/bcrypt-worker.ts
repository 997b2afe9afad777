import { parentPort } from 'node:worker_threads';
import bcrypt from 'bcryptjs';

/** One comparison for the worker, and its answer. */
export interface Comparison {
  id: number;
  password: string;
  hash: string;
}

export interface ComparisonResult {
  id: number;
  equal: boolean;
}

parentPort?.on('message', ({ id, password, hash }: Comparison) => {
  const result: ComparisonResult = { id, equal: bcrypt.compareSync(password, hash) };
  parentPort?.postMessage(result);
});
