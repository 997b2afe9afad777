import { runOneOf } from '#libs/process/run-command.ts';
import { acl, aclUsage } from './commands/acl.ts';
import { keys, keysUsage } from './commands/keys.ts';
import { robot, robotUsage } from './commands/robot.ts';
import { token, tokenUsage } from './commands/token.ts';

// The commands about who may do what; they read auth's files and need no running service.
await runOneOf({
  acl: { run: acl, usage: aclUsage },
  keys: { run: keys, usage: keysUsage },
  robot: { run: robot, usage: robotUsage },
  token: { run: token, usage: tokenUsage },
});
