import { parseArgs } from 'node:util';
import { runCommand } from '#libs/process/run-command.ts';
import { UsageError } from '#libs/process/usage-error.ts';
import { nearestWord } from '#libs/values/nearest-word.ts';
import type { Command } from './command.ts';
import { help, version } from './commands/help.ts';

/** Each is loaded when it is run: `health` is asked every few seconds, and must not read what only `serve` needs. */
const commands: Readonly<Record<string, () => Promise<Command>>> = {
  serve: async () => (await import('./commands/serve.ts')).serve,
  gateway: async () => (await import('./commands/serve-one.ts')).serveOne('gateway'),
  core: async () => (await import('./commands/serve-one.ts')).serveOne('core'),
  quickstart: async () => (await import('./commands/quickstart.ts')).quickstart,
  user: async () => (await import('./commands/user.ts')).user,
  certs: async () => (await import('./commands/certs.ts')).certs,
  config: async () => (await import('./commands/config-check.ts')).configCheck,
  health: async () => (await import('./commands/health.ts')).health,
  help: async () => help,
  htpasswd: async () => (await import('./commands/htpasswd.ts')).htpasswd,
};

/** The commands that `bin/portcullis` hands to a service. */
const elsewhere = ['auth', 'acl', 'keys', 'robot', 'token', 'garbage-collect', 'fsck'];

/** @throws UsageError that names the command that may have been meant */
function loaderOf(name: string): () => Promise<Command> {
  const load = Object.hasOwn(commands, name) ? commands[name] : undefined;
  if (load !== undefined) return load;
  const meant = nearestWord(name, [...Object.keys(commands), ...elsewhere]);
  const hint = meant === undefined ? '' : `; did you mean ${meant}?`;
  throw new UsageError(`unknown command "${name}"${hint}`);
}

/** What stands before the arguments decides; a configuration file alone means serve. */
async function choose(args: string[]): Promise<{ run: Command; rest: string[] }> {
  const [first = 'help', ...rest] = args;
  if (/\.ya?ml$/.test(first)) return { run: await loaderOf('serve')(), rest: args };
  if (first === '-v' || first === '--version') return { run: version, rest };
  if (first === '-h' || first === '--help') return { run: help, rest };
  const load = loaderOf(first);
  const { values } = parseArgs({
    args: rest,
    strict: false,
    options: { help: { type: 'boolean', short: 'h' } },
  });
  return values.help === true ? { run: help, rest: [first] } : { run: await load(), rest };
}

await runCommand(async (args) => {
  const { run, rest } = await choose(args);
  return await run(rest);
});
