import { stringify } from 'yaml';
import { loadConfiguration } from '#libs/config/load-configuration.ts';
import { configurationSchema } from '#libs/config/schema/configuration.ts';
import { starSecrets } from '#libs/config/schema/walk.ts';
import { toSettings } from '#libs/config/settings.ts';
import { UsageError } from '#libs/process/usage-error.ts';
import type { Command } from '../command.ts';

/** `config check [CONFIG]`: what is in effect, and what of it will not be acted on. */
export const configCheck: Command = async ([action, path, ...more]) => {
  if (action !== 'check' || more.length > 0) {
    throw new UsageError('usage: portcullis config check [CONFIG]');
  }
  const loaded = await loadConfiguration(path);
  toSettings(loaded);
  const shown = starSecrets(loaded.configuration, configurationSchema);
  process.stdout.write(
    `# ${loaded.path ?? 'built-in configuration'}, with REGISTRY_* applied; times in ms\n`,
  );
  process.stdout.write(stringify(shown));
  for (const { level, message } of loaded.remarks) process.stderr.write(`${level}: ${message}\n`);
  return loaded.remarks.some(({ level }) => level === 'stop') ? 1 : 0;
};
