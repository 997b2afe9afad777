import { type ChildProcess, spawn as nodeSpawn } from 'node:child_process';

const running = new Set<ChildProcess>();
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

/** Like `spawn` of node:child_process; a child that a failed test left running is killed when this process ends. */
export const spawn = ((...args: Parameters<typeof nodeSpawn>) => {
  const child = nodeSpawn(...args);
  running.add(child);
  child.once('exit', () => running.delete(child));
  child.once('error', () => running.delete(child));
  return child;
}) as typeof nodeSpawn;
