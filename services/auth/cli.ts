import { runCommand } from '#libs/process/run-command.ts';
import { UsageError } from '#libs/process/usage-error.ts';
import { acl, aclUsage } from './commands/acl.ts';
import { keys, keysUsage } from './commands/keys.ts';
import { robot, robotUsage } from './commands/robot.ts';
import { token, tokenUsage } from './commands/token.ts';

/** The commands about who may do what; they read auth's files and need no running service. */
const commands = {
  acl: { run: acl, usage: aclUsage },
  keys: { run: keys, usage: keysUsage },
  robot: { run: robot, usage: robotUsage },
  token: { run: token, usage: tokenUsage },
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
