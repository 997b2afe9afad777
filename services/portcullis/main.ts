import { parseArgs } from 'node:util';
import type { Command } from './command.ts';
import { certs } from './commands/certs.ts';
import { configCheck } from './commands/config-check.ts';
import { garbageCollect } from './commands/garbage-collect.ts';
import { help, version } from './commands/help.ts';
import { keysCreate } from './commands/keys.ts';
import { quickstart } from './commands/quickstart.ts';
import { serve } from './commands/serve.ts';
import { user } from './commands/user.ts';
import { UsageError } from './usage-error.ts';

const commands: Readonly<Record<string, Command>> = {
  serve,
  quickstart,
  user,
  certs,
  config: configCheck,
  keys: keysCreate,
  'garbage-collect': garbageCollect,
  help,
};

/** What stands before the arguments decides; a configuration file alone means serve. */
function choose(args: string[]): { run: Command; rest: string[] } {
  const [first = 'help', ...rest] = args;
  if (/\.ya?ml$/.test(first)) return { run: serve, rest: args };
  if (first === '-v' || first === '--version') return { run: version, rest };
  if (first === '-h' || first === '--help') return { run: help, rest };
  const command = Object.hasOwn(commands, first) ? commands[first] : undefined;
  if (command === undefined) throw new UsageError(`there is no command "${first}"`);
  const { values } = parseArgs({
    args: rest,
    strict: false,
    options: { help: { type: 'boolean', short: 'h' } },
  });
  return values.help === true ? { run: help, rest: [first] } : { run: command, rest };
}

try {
  const { run, rest } = choose(process.argv.slice(2));
  process.exitCode = await run(rest);
} catch (error) {
  const isUsage =
    error instanceof UsageError ||
    String((error as NodeJS.ErrnoException).code).startsWith('ERR_PARSE_ARGS');
  process.stderr.write(`portcullis: ${(error as Error).message}\n`);
  if (isUsage) process.stderr.write("Try 'portcullis --help'.\n");
  process.exitCode = isUsage ? 2 : 1;
}
