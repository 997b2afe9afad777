import { type ConfigurationSource, loadConfiguration } from '#libs/config/load-configuration.ts';
import type { ConfiguredUsers } from '#libs/config/sections/users.ts';
import { toSettings } from '#libs/config/settings.ts';
import { watchFile } from '#libs/files/watch-file.ts';
import type { Logger } from '#libs/log/logger.ts';
import { everyUserPolicy } from '#libs/policy/acl.ts';
import { createPolicy } from '#libs/policy/create-policy.ts';
import type { Policy } from '#libs/policy/policy.ts';
import { lookEvery } from '../state-files.ts';

/** The rules in force, which follow the configuration file. */
export interface LivePolicy {
  current(): Policy;
  /** Reads the file again now. */
  reload(): Promise<void>;
  close(): void;
}

export interface PolicyListeners {
  /** Called when other rules are in force. */
  onRules(): void;
  /** Called with the users of each configuration that is read. */
  onUsers(users: ConfiguredUsers): Promise<void>;
  /** Called with what the users and rules in force were read from, when all of it is in force. */
  onRead(source: ConfigurationSource): void;
}

/**
 * @param first the rules found at the start
 * @param path the configuration file; undefined if there is none to follow
 */
export function followPolicy(
  first: Policy,
  path: string | undefined,
  log: Logger,
  { onRules, onUsers, onRead }: PolicyListeners,
): LivePolicy {
  let policy = first;
  if (path === undefined) return { current: () => policy, reload: async () => {}, close() {} };

  async function load(): Promise<void> {
    const loaded = await loadConfiguration(path);
    const { auth } = toSettings(loaded);
    if (auth === undefined) throw new Error('there is no auth.htpasswd any more; restart to open');
    if (auth.rules === undefined && policy !== everyUserPolicy) {
      throw new Error(
        'there is no portcullis.acl any more; restart to let every user do everything',
      );
    }
    for (const { level, path: key, message } of loaded.diagnostics) {
      if (level === 'warn' && key.startsWith('portcullis')) log.warn(message);
    }
    const next = createPolicy(auth, (message) => log.warn(message));
    const isOther = next.version !== policy.version;
    // Together, also where what tokens of former users are worth cannot be noted.
    policy = next;
    await onUsers(auth.users);
    onRead({ path: loaded.path, text: loaded.text });
    if (!isOther) return;
    log.info({ version: next.version }, 'access rules reloaded');
    onRules();
  }

  const watch = watchFile(path, load, log, lookEvery);
  return { current: () => policy, reload: watch.reload, close: watch.close };
}
