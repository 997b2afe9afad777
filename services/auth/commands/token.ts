import { parseArgs } from 'node:util';
import { UsageError } from '#libs/process/usage-error.ts';
import { voidTokens } from '../revocations.ts';
import { stateOf } from './state-of.ts';

export const tokenUsage = `usage: portcullis token revoke ACCOUNT [--config CONFIG | --state STATE]

revoke  makes void what was issued to an account so far, identity tokens too; it may log in again
`;

const options = { config: { type: 'string' }, state: { type: 'string' } } as const;

/** `token revoke`: ends every session of an account. */
export async function token(args: string[]): Promise<number> {
  const { values, positionals } = parseArgs({ args, options, allowPositionals: true });
  const [action, account, ...more] = positionals;
  if (action !== 'revoke' || account === undefined || more.length > 0) {
    throw new UsageError(tokenUsage.trimEnd());
  }
  await voidTokens(await stateOf(values), account, Math.floor(Date.now() / 1000));
  process.stdout.write(`what was issued to ${account} so far is void within seconds\n`);
  return 0;
}
