import { parentPort } from 'node:worker_threads';
import bcrypt from 'bcryptjs';
import { costOf } from '#libs/values/account.ts';

/** A password to compare with a hash, by as much work as a hash of `cost` takes. */
export interface Comparison {
  kind: 'compare';
  password: string;
  hash: string;
  /** log2 of bcrypt's rounds, at least the hash's own. */
  cost: number;
}

/** A password to make a hash of. */
export interface Hashing {
  kind: 'hash';
  password: string;
  cost: number;
}

export type BcryptWork = Comparison | Hashing;

/** What came of it. */
export interface BcryptResult<Work extends BcryptWork> {
  answer: Work extends Comparison ? boolean : string;
  /** Milliseconds that the thread worked on it. */
  duration: number;
}

/** A salt for what is hashed only to take time. */
const salt = `${'.'.repeat(21)}u`;

parentPort?.on('message', (work: BcryptWork) => {
  const began = performance.now();
  const answer = work.kind === 'compare' ? compare(work) : hash(work);
  const duration = performance.now() - began;
  parentPort?.postMessage({ answer, duration } satisfies { answer: unknown; duration: number });
});

/** The rounds of the costs from c to n - 1 are together those of n without those of c. */
function compare({ password, hash, cost }: Comparison): boolean {
  const equal = bcrypt.compareSync(password, hash);
  for (let rest = costOf(hash); rest < cost; rest += 1) {
    bcrypt.hashSync(password, `$2b$${String(rest).padStart(2, '0')}$${salt}`);
  }
  return equal;
}

/** Apache writes $2y$, which is the same algorithm. */
function hash({ password, cost }: Hashing): string {
  return bcrypt.hashSync(password, cost).replace(/^\$2b\$/, '$2y$');
}
