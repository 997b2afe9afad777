import type { Command } from '@commander-js/extra-typings';
import { findConfiguration, oneOf } from '../find-configuration.ts';
import { withExamples } from './command-tree.ts';
import { finish } from './finish.ts';
import { configOption, duration, jsonOption, path } from './options.ts';

/** What is stored: what is wrong with it, and what nothing needs any more. */
export function defineStorage(program: Command): void {
  withExamples(
    program
      .command('garbage-collect')
      .helpGroup('Storage:')
      .summary('take away what nothing refers to, while the registry serves')
      .description(
        'Takes away what nothing refers to, while the registry serves. It goes to a trash first, from which whatever is missed comes back; what has been there for longer than the grace is removed for good.',
      )
      .argument('[config]', 'the configuration file', path)
      .option('-d, --dry-run', 'only tell what is garbage')
      .option('-m, --delete-untagged', 'also manifests that no tag, no index and no subject keeps')
      .option('-q, --quiet', 'no list of what is garbage')
      .option(
        '--delay <duration>',
        'nothing younger is garbage (default: portcullis.gc.delay, 1h)',
        duration,
      )
      .option(
        '--grace <duration>',
        'how long the trash keeps things (default: portcullis.gc.grace, 24h); 0s frees the space at once: only while nobody pushes',
        duration,
      )
      .addOption(jsonOption())
      .addOption(configOption())
      .action(async (config, options) => {
        const { garbageCollect } = await import('../../core/commands/garbage-collect.ts');
        const found = await findConfiguration(oneOf(config, options.config));
        finish(await garbageCollect({ ...options, config: found }));
      }),
    'portcullis garbage-collect --dry-run config.yml',
    'portcullis garbage-collect --delete-untagged',
  );
  withExamples(
    program
      .command('fsck')
      .helpGroup('Storage:')
      .summary("what is wrong with the storage, ours or the original registry's")
      .description(
        "Looks through the storage, ours or the original registry's, while it is served: links that lead nowhere, blobs whose bytes are not what their digest says, uploads that nobody will finish. Exit code 4 if something is wrong and was not repaired.",
      )
      .argument('[config]', 'the configuration file', path)
      .option(
        '--repair',
        'make right what can be without losing anything; the registry must be stopped, read-only, or share a Redis',
      )
      .option('--quick', 'do not read the blobs')
      .addOption(jsonOption())
      .addOption(configOption())
      .action(async (config, options) => {
        const { fsck } = await import('../../core/commands/fsck.ts');
        const found = await findConfiguration(oneOf(config, options.config));
        finish(await fsck({ ...options, config: found }));
      }),
    'portcullis fsck config.yml',
    'portcullis fsck --quick --json',
  );
}
