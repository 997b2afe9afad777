import { runOneOf } from '#libs/process/run-command.ts';
import { fsck, fsckUsage } from './commands/fsck.ts';
import { garbageCollect, garbageCollectUsage } from './commands/garbage-collect.ts';

// The commands that work on the storage itself; they need no running core, nor mind one.
await runOneOf({
  'garbage-collect': { run: garbageCollect, usage: garbageCollectUsage },
  fsck: { run: fsck, usage: fsckUsage },
});
