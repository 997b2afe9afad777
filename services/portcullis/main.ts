import { parseArgs } from 'node:util';
import { runCommand } from '#libs/process/run-command.ts';
import { UsageError } from '#libs/process/usage-error.ts';
import { nearestWord } from '#libs/values/nearest-word.ts';
import type { Command } from './command.ts';
import { certs } from './commands/certs.ts';
import { configCheck } from './commands/config-check.ts';
import { health } from './commands/health.ts';
import { help, version } from './commands/help.ts';
import { htpasswd } from './commands/htpasswd.ts';
import { quickstart } from './commands/quickstart.ts';
import { serve } from './commands/serve.ts';
import { serveOne } from './commands/serve-one.ts';
import { user } from './commands/user.ts';

const commands: Readonly<Record<string, Command>> = {
  serve,
  gateway: serveOne('gateway'),
  core: serveOne('core'),
  quickstart,
  user,
  certs,
  config: configCheck,
  health,
  help,
  htpasswd,
};

/** The commands that `bin/portcullis` hands to a service. */
const elsewhere = ['auth', 'acl', 'keys', 'robot', 'token', 'garbage-collect', 'fsck'];

/** What stands before the arguments decides; a configuration file alone means serve. */
function choose(args: string[]): { run: Command; rest: string[] } {
  const [first = 'help', ...rest] = args;
  if (/\.ya?ml$/.test(first)) return { run: serve, rest: args };
  if (first === '-v' || first === '--version') return { run: version, rest };
  if (first === '-h' || first === '--help') return { run: help, rest };
  const command = Object.hasOwn(commands, first) ? commands[first] : undefined;
  if (command === undefined) {
    const meant = nearestWord(first, [...Object.keys(commands), ...elsewhere]);
    const hint = meant === undefined ? '' : `; did you mean ${meant}?`;
    throw new UsageError(`unknown command "${first}"${hint}`);
  }
  const { values } = parseArgs({
    args: rest,
    strict: false,
    options: { help: { type: 'boolean', short: 'h' } },
  });
  return values.help === true ? { run: help, rest: [first] } : { run: command, rest };
}

await runCommand(async (args) => {
  const { run, rest } = choose(args);
  return await run(rest);
});
