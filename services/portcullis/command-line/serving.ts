import type { Command } from '@commander-js/extra-typings';
import type { ServiceName } from '#libs/values/service-name.ts';
import { findConfigurationToCheck, oneOf } from '../find-configuration.ts';
import { withExamples } from './command-tree.ts';
import { finish } from './finish.ts';
import { collect, configOption, path, port } from './options.ts';

/** What serves, and what looks at it. */
export function defineServing(program: Command): void {
  withExamples(
    program
      .command('quickstart')
      .helpGroup('Run it:')
      .summary('make what is missing and serve')
      .description(
        'Makes what is missing (a CA and a certificate, a first user, a configuration, a place for images) and serves. Later starts use what is there.',
      )
      .option('--dir <folder>', 'where all of it is', 'data')
      .option(
        '--host <name>',
        'a name or address by which clients call this machine; may be given several times',
        collect,
      )
      .option('--port <port>', 'the port to listen on, when config.yml is made', port)
      .action(async (options) => {
        const { quickstart } = await import('../commands/quickstart.ts');
        finish(await quickstart(options));
      }),
    'portcullis quickstart --host registry.example.com --port 443 --dir /srv/registry',
  );

  withExamples(
    program
      .command('serve')
      .helpGroup('Run it:')
      .summary('gateway, token service and core under one supervisor')
      .description(
        'Serves with a config.yml of the original registry, with our own settings under "portcullis". Without a file the one of PORTCULLIS_CONFIG or REGISTRY_CONFIGURATION_PATH, /etc/docker/registry/config.yml or /etc/distribution/config.yml is taken, else the built-in configuration. REGISTRY_* variables change single settings. "serve" may be left out before a file.',
      )
      .argument('[config]', 'the configuration file', path)
      .addOption(configOption())
      .action(async (config, options) => {
        const { serve } = await import('../commands/serve.ts');
        finish(await serve(oneOf(config, options.config)));
      }),
    'portcullis serve /etc/docker/registry/config.yml',
    'portcullis /etc/docker/registry/config.yml',
  );

  const services: readonly (readonly [ServiceName, string])[] = [
    ['gateway', 'the gateway alone: TLS, logins, limits'],
    ['auth', 'the token service alone'],
    ['core', 'the storage core alone'],
  ];
  for (const [service, summary] of services) {
    withExamples(
      program
        .command(service)
        .helpGroup('Run it:')
        .summary(summary)
        .description(
          `Runs ${summary}, as for a container of its own. All services read the same configuration.`,
        )
        .argument('[config]', 'the configuration file', path)
        .addOption(configOption())
        .action(async (config, options) => {
          const { serveOne } = await import('../commands/serve-one.ts');
          finish(await serveOne(service, oneOf(config, options.config)));
        }),
      `portcullis ${service} /etc/portcullis/config.yml`,
    );
  }

  withExamples(
    program
      .command('health')
      .helpGroup('Run it:')
      .summary('whether what runs here is ready')
      .description(
        'Asks what runs here whether it is ready. Without a configuration it finds out what runs, and with which one. Exit code 1 if it is not ready or nothing runs.',
      )
      .argument('[config]', 'the configuration of what runs', path)
      .addOption(configOption())
      .option(
        '--alive',
        'only whether it answers; succeeds where nothing runs, for health checks of images',
      )
      .action(async (config, options) => {
        const { health } = await import('../commands/health.ts');
        finish(
          await health({ config: oneOf(config, options.config), alive: options.alive === true }),
        );
      }),
    'portcullis health',
  );

  const config = program
    .command('config')
    .helpCommand(false)
    .helpGroup('Run it:')
    .summary('look at a configuration')
    .description('Looks at a configuration.');
  withExamples(
    config
      .command('check')
      .summary('what is in effect, and what is wrong with it')
      .description(
        'Prints the configuration in effect, as a file that means the same, and on standard error what of it is unknown, not supported or wrong. Without a file it is that of the registry that runs in this folder, else the one that serve would take. Exit code 1 where serve would not start; what this user may not read or write is a warning, since another user may serve.',
      )
      .argument('[config]', 'the configuration file', path)
      .addOption(configOption())
      .option('--explain', 'say what each key means')
      .option('-q, --quiet', 'print only what is wrong with it')
      .action(async (given, options) => {
        const { configCheck } = await import('../commands/config-check.ts');
        const { checkState } = await import('../../auth/commands/check-state.ts');
        const explain = options.explain === true;
        const file = await findConfigurationToCheck(oneOf(given, options.config));
        const quiet = options.quiet === true;
        finish(await configCheck({ config: file, explain, quiet, checkState }));
      }),
    'portcullis config check config.yml',
    'portcullis config check --explain config.yml > complete.yml',
  );
}
