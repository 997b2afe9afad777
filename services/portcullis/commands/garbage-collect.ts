import type { Command } from '../command.ts';

/** The original's command, so that a script that calls it learns that nothing was collected. */
export const garbageCollect: Command = async () => {
  process.stderr.write('portcullis: garbage-collect is not built yet; nothing was removed\n');
  return 1;
};
