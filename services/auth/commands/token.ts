import { parseHtpasswd } from '#libs/auth/htpasswd.ts';
import { readIfPresent } from '#libs/files/read-text.ts';
import { robotPrefix } from '#libs/values/account.ts';
import { voidTokens } from '../revocations.ts';
import { parseRobots } from '../robots/robots-file.ts';
import { stateFiles } from '../state-files.ts';
import { authOf, type StateTarget, stateOf } from './state-of.ts';

/**
 * A name that was misspelt would read as done. Of a state folder alone nobody knows the users and workloads, and of a
 * workload nobody knows who there are.
 * @throws Error if there is no such account
 */
async function assertKnown(
  account: string,
  state: string,
  { state: given, config }: StateTarget,
): Promise<void> {
  if (account.includes(':')) {
    if (given !== undefined) return;
    const { workloads } = await authOf(config);
    if (workloads.some(({ name }) => account.startsWith(`${name}:`))) return;
    const names = workloads.map(({ name }) => name).join(', ') || 'none';
    throw new Error(
      `there is no workload "${account.slice(0, account.indexOf(':'))}"; portcullis.workloads has: ${names}`,
    );
  }
  if (account.startsWith(robotPrefix)) {
    const path = stateFiles.robots(state);
    const robots = parseRobots(await readIfPresent(path), path);
    if (robots.has(account.slice(robotPrefix.length))) return;
  } else {
    if (given !== undefined) return;
    const { htpasswd, users } = await authOf(config);
    if (users.has(account)) return;
    if (parseHtpasswd((await readIfPresent(htpasswd)) ?? '').accounts.has(account)) return;
  }
  throw new Error(
    `there is no account "${account}"; a robot is ${robotPrefix}NAME, a workload NAME:SUBJECT, and what was issued to one that was removed is void already`,
  );
}

/** Ends every session of an account. @returns the exit code */
export async function revokeTokens(account: string, target: StateTarget): Promise<number> {
  const state = await stateOf(target);
  await assertKnown(account, state, target);
  await voidTokens(state, account, Math.floor(Date.now() / 1000));
  process.stdout.write(`what was issued to ${account} so far is void within seconds\n`);
  return 0;
}
