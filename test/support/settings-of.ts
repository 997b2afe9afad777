import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { loadConfiguration } from '#libs/config/load-configuration.ts';
import { toSettings } from '#libs/config/settings.ts';
import { createTemporaryFolder } from './temporary-folder.ts';

/** The settings of a configuration that has these lines besides what it must have. */
export async function settingsOf(lines: string, env: Record<string, string> = {}) {
  await using folder = await createTemporaryFolder();
  const path = join(folder.path, 'config.yml');
  await writeFile(path, `version: 0.1\nstorage: { inmemory: {} }\n${lines}\n`);
  return toSettings(await loadConfiguration(path, env));
}
