import { runCommand } from '#libs/process/run-command.ts';
import { UsageError } from '#libs/process/usage-error.ts';
import { fsck, fsckUsage } from './commands/fsck.ts';
import { garbageCollect, garbageCollectUsage } from './commands/garbage-collect.ts';

/** The commands that work on the storage itself; they need no running core, nor mind one. */
const commands = {
  'garbage-collect': { run: garbageCollect, usage: garbageCollectUsage },
  fsck: { run: fsck, usage: fsckUsage },
} as const;

await runCommand(async ([name = '', ...rest]) => {
  if (!Object.hasOwn(commands, name)) throw new UsageError(`unknown command "${name}"`);
  const { run, usage } = commands[name as keyof typeof commands];
  if (rest.includes('-h') || rest.includes('--help')) {
    process.stdout.write(usage);
    return 0;
  }
  return await run(rest);
});
