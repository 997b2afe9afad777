import { type Command, Option } from '@commander-js/extra-typings';
import { findConfiguration, findState } from '../find-configuration.ts';
import { withExamples } from './command-tree.ts';
import { finish } from './finish.ts';
import { collect, configOption, duration, jsonOption, path, stateOption } from './options.ts';

/** Who may do what, and by whose keys and certificates. */
export function defineAccess(program: Command): void {
  defineAcl(program);
  defineKeys(program);
  defineCertificates(program);
}

function defineAcl(program: Command): void {
  const acl = program
    .command('acl')
    .helpCommand(false)
    .helpGroup('Access:')
    .summary('ask the access rules')
    .description('Asks the access rules of a configuration, as the token service asks them.');
  withExamples(
    acl
      .command('explain')
      .summary('whether an account may do something, and which rule decides')
      .description(
        'Says whether an account may do something, which rule decides, and why the rules above it do not match. Exit code 3 if one of the actions is denied.',
      )
      .requiredOption('--repository <name>', 'the repository, or "catalog" with --type registry')
      .requiredOption(
        '--action <action>',
        'pull, push, delete or *; may be given several times',
        collect,
      )
      .option('--account <name>', 'the account; without it, a client that did not log in')
      .option('--ip <address>', 'the address of the client')
      .option('--label <key=value>', 'a label of the account; may be given several times', collect)
      .option('--type <type>', 'the type of the resource: repository or registry', 'repository')
      .addOption(jsonOption())
      .addOption(configOption())
      .action(async ({ config, json = false, ...question }) => {
        const { explainAccess } = await import('../../auth/commands/acl.ts');
        finish(await explainAccess(question, { config: await findConfiguration(config), json }));
      }),
    'portcullis acl explain --account bob --repository prod/app --action push',
    "portcullis acl explain --account bob --type registry --repository catalog --action '*'",
  );
  withExamples(
    acl
      .command('test')
      .summary('compare a table of expectations with the rules')
      .description(
        'Compares a table of expectations with the rules. Exit code 3 if one of them does not hold. The file is a list of entries: { account: bob, repository: prod/app, action: push, expect: denied }, where action may be a list, and ip, labels, type and at (a time) may be given.',
      )
      .argument('<file>', 'the table, in YAML')
      .addOption(jsonOption())
      .addOption(configOption())
      .action(async (file, { config, json = false }) => {
        const { testRules } = await import('../../auth/commands/acl-test.ts');
        finish(await testRules(file, { config: await findConfiguration(config), json }));
      }),
    'portcullis acl test expectations.yml',
  );
}

function defineKeys(program: Command): void {
  const keys = program
    .command('keys')
    .helpCommand(false)
    .helpGroup('Access:')
    .summary('the signing keys of the token service')
    .description(
      "The signing keys in the token service's state folder (portcullis.auth.state). Running services take every change by themselves.",
    );
  withExamples(
    keys
      .command('create')
      .summary('make the first signing key')
      .description(
        'Makes the first signing key, its authority, and the secret of identity tokens, as several token services that share them need it.',
      )
      .addOption(configOption())
      .addOption(stateOption())
      .action(async ({ config, state }) => {
        const { createKey } = await import('../../auth/commands/keys.ts');
        finish(await createKey(await findState({ state, config })));
      }),
    'portcullis keys create --state secrets/state',
  );
  withExamples(
    keys
      .command('list')
      .summary('which keys there are, and which one signs')
      .description('Lists the keys, and which one signs.')
      .addOption(configOption())
      .addOption(stateOption())
      .addOption(jsonOption())
      .action(async ({ config, state, json = false }) => {
        const { listKeys } = await import('../../auth/commands/keys.ts');
        finish(await listKeys(await findState({ state, config }), json));
      }),
    'portcullis keys list',
  );
  withExamples(
    keys
      .command('rotate')
      .summary('make a new key, which signs when the grace time is over')
      .description(
        'Makes a new key, which is published at once and signs when the grace time is over. The old one verifies until the last token that it signed has expired, and uploads under way for a day more; keys older than that are removed.',
      )
      .addOption(
        new Option('--grace <duration>', 'how long the new key waits')
          .argParser(duration)
          .default(600_000, '10m'),
      )
      .addOption(configOption())
      .addOption(stateOption())
      .action(async ({ config, state, grace }) => {
        const { rotateKeys } = await import('../../auth/commands/keys.ts');
        const target = await findState({ state, config });
        finish(await rotateKeys(target, grace));
      }),
    'portcullis keys rotate --grace 10m',
  );
  withExamples(
    keys
      .command('revoke')
      .summary('remove a key at once')
      .description('Removes a key at once: its tokens are void, and clients get new ones.')
      .argument('<kid>', 'the key, as `keys list` shows it')
      .addOption(configOption())
      .addOption(stateOption())
      .action(async (kid, { config, state }) => {
        const { revokeKey } = await import('../../auth/commands/keys.ts');
        const target = await findState({ state, config });
        finish(await revokeKey(target, kid));
      }),
    'portcullis keys revoke x9cZ6v5Yk8h1n2m3b4v5c6x7z8l9k0j1h2g3f4d5s6a',
  );
  withExamples(
    keys
      .command('export')
      .summary('print what other registries trust')
      .description(
        'Prints what other registries trust: certificates for rootcertbundle, which stay good through rotations, or the public keys, which do not.',
      )
      .option('--jwks', 'the public keys as a JWK Set (RFC 7517)')
      .addOption(configOption())
      .addOption(stateOption())
      .action(async ({ config, state, jwks = false }) => {
        const { exportKeys } = await import('../../auth/commands/keys.ts');
        const target = await findState({ state, config });
        finish(await exportKeys(target, jwks));
      }),
    'portcullis keys export > rootcertbundle.pem',
  );
}

function defineCertificates(program: Command): void {
  withExamples(
    program
      .command('certs')
      .helpGroup('Access:')
      .summary('a CA, and a certificate for names')
      .description(
        'Makes a CA in the folder, unless there is one, and a site certificate for these names and those that it is for already.',
      )
      .argument('<dir>', 'the folder', path)
      .argument('<names...>', 'names and addresses by which clients call the registry')
      .action(async (dir, names) => {
        const { certs } = await import('../commands/certs.ts');
        finish(await certs(dir, names));
      }),
    'portcullis certs /etc/portcullis/certs registry.example.com 192.0.2.7',
  );
}
