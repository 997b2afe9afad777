import { parseArgs } from 'node:util';
import { parseHtpasswd } from '#libs/auth/htpasswd.ts';
import { UsageError } from '#libs/process/usage-error.ts';
import { readIfPresent } from '../read-if-present.ts';
import { voidTokens } from '../revocations.ts';
import { parseRobots, robotPrefix } from '../robots/robots-file.ts';
import { stateFiles } from '../state-files.ts';
import { authOf, type StateOptions, stateOf } from './state-of.ts';

export const tokenUsage = `usage: portcullis token revoke ACCOUNT [--config CONFIG | --state STATE]

revoke  makes void what was issued to an account so far, identity tokens too; it may log in again
`;

const options = { config: { type: 'string' }, state: { type: 'string' } } as const;

/**
 * A name that was misspelt would read as done. Of a state folder alone nobody knows the users, and of workloads nobody
 * knows who there are.
 * @throws Error if there is no such account
 */
async function assertKnown(
  account: string,
  state: string,
  { state: given, config }: StateOptions,
): Promise<void> {
  if (account.includes(':')) return;
  if (account.startsWith(robotPrefix)) {
    const robots = parseRobots(await readIfPresent(stateFiles.robots(state)));
    if (robots.has(account.slice(robotPrefix.length))) return;
  } else {
    if (given !== undefined) return;
    const { htpasswd } = await authOf(config);
    if (parseHtpasswd((await readIfPresent(htpasswd)) ?? '').accounts.has(account)) return;
  }
  throw new Error(
    `there is no account "${account}"; a robot is ${robotPrefix}NAME, a workload NAME:SUBJECT, and what was issued to one that was removed is void already`,
  );
}

/** `token revoke`: ends every session of an account. */
export async function token(args: string[]): Promise<number> {
  const { values, positionals } = parseArgs({ args, options, allowPositionals: true });
  const [action, account, ...more] = positionals;
  if (action !== 'revoke' || account === undefined || more.length > 0) {
    throw new UsageError(tokenUsage.trimEnd());
  }
  const state = await stateOf(values);
  await assertKnown(account, state, values);
  await voidTokens(state, account, Math.floor(Date.now() / 1000));
  process.stdout.write(`what was issued to ${account} so far is void within seconds\n`);
  return 0;
}
