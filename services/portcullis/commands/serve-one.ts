import { fileURLToPath } from 'node:url';
import { loadSettings } from '#libs/config/load-settings.ts';
import type { ServiceName } from '#libs/values/service-name.ts';
import { nodeOptionsFor } from '../node-options.ts';
import { supervise } from './serve.ts';

/** One service alone, under a supervisor if it is to run several times. @returns the exit code */
export async function serveOne(service: ServiceName, config: string | undefined): Promise<number> {
  if (service !== 'auth') {
    const { workers } = (await loadSettings(config)).settings;
    if (workers[service] > 1) return await supervise(config, () => {}, service);
  }
  const script = fileURLToPath(new URL(`../../${service}/main.ts`, import.meta.url));
  return become(service, config === undefined ? [script] : [script, config]);
}

/** Replaces this process by another Node, so that signals and the exit code are that one's. */
function become(service: ServiceName, args: readonly string[]): never {
  const { execPath, execve } = process;
  if (execve === undefined) throw new Error('this platform cannot run one service alone');
  return execve(execPath, [execPath, ...nodeOptionsFor(service), ...args]);
}
