import { fileURLToPath } from 'node:url';
import { loadSettings } from '#libs/config/load-settings.ts';
import { UsageError } from '#libs/process/usage-error.ts';
import type { Command } from '../command.ts';
import { supervise } from './serve.ts';

/** `gateway|core [CONFIG]`: one service alone, under a supervisor if it is to run several times. */
export function serveOne(service: 'gateway' | 'core'): Command {
  return async (args) => {
    const [config, ...more] = args;
    if (more.length > 0 || config?.startsWith('-')) {
      throw new UsageError(`usage: portcullis ${service} [CONFIG]`);
    }
    const { settings } = await loadSettings(config);
    const { workers } = settings;
    if (workers[service] > 1) return await supervise(config, () => {}, service);
    const script = fileURLToPath(new URL(`../../${service}/main.ts`, import.meta.url));
    return become([script, ...args]);
  };
}

/** Replaces this process by another Node, so that signals and the exit code are that one's. */
function become(args: readonly string[]): never {
  const { execPath, execve } = process;
  if (execve === undefined) throw new Error('this platform cannot run one service alone');
  return execve(execPath, [execPath, '--disable-warning=DEP0060', ...args]);
}
