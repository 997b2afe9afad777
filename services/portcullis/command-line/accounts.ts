import { type Command, Option } from '@commander-js/extra-typings';
import { UsageError } from '#libs/process/usage-error.ts';
import { largestCost } from '#libs/values/account.ts';
import { findState, findUsers } from '../find-configuration.ts';
import { withExamples } from './command-tree.ts';
import { finish } from './finish.ts';
import { collect, configOption, jsonOption, path, stateOption } from './options.ts';

/** Who may log in: people, machines, and what was issued to them. */
export function defineAccounts(program: Command): void {
  defineUser(program);
  defineHtpasswd(program);
  defineRobot(program);
  defineToken(program);
}

function defineUser(program: Command): void {
  const user = program
    .command('user')
    .helpCommand(false)
    .helpGroup('Accounts:')
    .summary('users of the htpasswd file')
    .description(
      'The users of the htpasswd file. A running registry takes a change within seconds.',
    );
  const fileOption = () =>
    new Option(
      '--file <htpasswd>',
      'the htpasswd file itself, instead of a configuration that names it',
    ).argParser(path);
  const changes = [
    ['add', 'make a user', 'echo "$PASSWORD" | portcullis user add bob'],
    ['passwd', "change a user's password", 'portcullis user passwd bob'],
    ['remove', 'remove a user', 'portcullis user remove bob'],
  ] as const;
  for (const [action, summary, example] of changes) {
    const password =
      action === 'remove'
        ? 'What was issued to the user is void within seconds.'
        : 'The password comes from a prompt, or from standard input; never from an argument, which others could read.';
    withExamples(
      user
        .command(action)
        .summary(summary)
        .description(`${summary[0]?.toUpperCase()}${summary.slice(1)}. ${password}`)
        .argument('<name>', 'the user')
        .addOption(fileOption())
        .addOption(configOption())
        .allowExcessArguments()
        .action(async (name, { file, config }, command) => {
          if (command.args.length > 1) {
            throw new UsageError(
              'a password is never an argument: it comes from a prompt or standard input',
            );
          }
          const { changeUser } = await import('../commands/user.ts');
          const target = await findUsers({ file, config });
          finish(await changeUser(action, name, target));
        }),
      example,
    );
  }
  withExamples(
    user
      .command('list')
      .summary('list the users')
      .description('Lists the users, and whether their passwords can be used.')
      .addOption(fileOption())
      .addOption(configOption())
      .option('-q, --quiet', 'only names')
      .addOption(jsonOption())
      .action(async ({ file, config, quiet = false, json = false }) => {
        const { listUsers } = await import('../commands/user.ts');
        const target = await findUsers({ file, config });
        finish(await listUsers(target, { quiet, json }));
      }),
    'portcullis user list',
  );
}

function defineHtpasswd(program: Command): void {
  withExamples(
    program
      .command('htpasswd')
      .helpGroup('Accounts:')
      .summary("what Apache's htpasswd does, as far as a registry can read it")
      .description(
        "Apache's program of that name, for scripts that call it: the same options, output and exit codes (3: the password is wrong, 6: there is no such user). Only bcrypt is written, because only that is read by a registry.",
      )
      .usage('-B [-bcinDv] [-C COST] [FILE] NAME [PASSWORD]')
      .argument('<arguments...>', 'FILE NAME, with -b also PASSWORD; with -n no FILE')
      .option('-B', 'bcrypt')
      .option('-b', 'the password is an argument; others can read it')
      .option('-c', 'create a new file')
      .option('-C <cost>', `the cost of bcrypt, from 4 to ${largestCost}`, '5')
      .option('-D', 'remove the user')
      .option('-i', 'the password comes from standard input')
      .option('-n', 'print the line instead of writing a file')
      .option('-v', 'compare the password with the one in the file')
      .action(async (values, flags) => {
        const { htpasswd } = await import('../commands/htpasswd.ts');
        finish(await htpasswd(values, flags));
      }),
    'portcullis htpasswd -Bbn bob "$PASSWORD"',
  );
}

function defineRobot(program: Command): void {
  const robot = program
    .command('robot')
    .helpCommand(false)
    .helpGroup('Accounts:')
    .summary('accounts for machines')
    .description(
      'Accounts for machines, with access to what is named and nothing else, until they expire. A running registry takes a change within seconds.',
    );
  withExamples(
    robot
      .command('create')
      .summary('make a robot and print its secret, once')
      .description(
        'Makes an account for a machine, robot+NAME, that may do just what --access says, and prints its secret on standard output, once.',
      )
      .argument('<name>', 'lower-case letters, digits and . _ -, beginning with a letter or digit')
      .option(
        '--access <scope>',
        'repository:NAME:ACTIONS, where NAME may hold * and ** as in rules, or registry:catalog:*; may be given several times',
        collect,
      )
      .option('--expires <time>', '90d, 12h, a date such as 2030-01-31, or never', '90d')
      .option('--comment <text>', 'what it is for')
      .option('--replace', 'give an existing robot a new secret, access and time')
      .addOption(configOption())
      .addOption(stateOption())
      .action(async (name, { config, state, ...options }) => {
        const { createRobot } = await import('../../auth/commands/robot.ts');
        const target = await findState({ state, config });
        finish(await createRobot(name, options, target));
      }),
    "portcullis robot create ci --access 'repository:team/*:pull,push' --expires 90d",
  );
  withExamples(
    robot
      .command('list')
      .summary('what each may do, until when, and when it was used last')
      .description('Lists what each robot may do, until when, and when it was used last.')
      .addOption(configOption())
      .addOption(stateOption())
      .addOption(jsonOption())
      .action(async ({ config, state, json = false }) => {
        const { listRobots } = await import('../../auth/commands/robot.ts');
        finish(await listRobots(await findState({ state, config }), json));
      }),
    'portcullis robot list',
  );
  withExamples(
    robot
      .command('revoke')
      .summary('remove a robot')
      .description('Removes a robot; what was issued to it is void within seconds.')
      .argument('<name>', 'the robot')
      .addOption(configOption())
      .addOption(stateOption())
      .action(async (name, { config, state }) => {
        const { revokeRobot } = await import('../../auth/commands/robot.ts');
        const target = await findState({ state, config });
        finish(await revokeRobot(name, target));
      }),
    'portcullis robot revoke ci',
  );
}

function defineToken(program: Command): void {
  const token = program
    .command('token')
    .helpCommand(false)
    .helpGroup('Accounts:')
    .summary('what was issued to an account')
    .description('What was issued to an account.');
  withExamples(
    token
      .command('revoke')
      .summary('make void what was issued to an account')
      .description(
        'Makes void what was issued to an account so far, identity tokens too; it may log in again.',
      )
      .argument('<account>', 'a user, robot+NAME, or a workload as NAME:SUBJECT')
      .addOption(configOption())
      .addOption(stateOption())
      .action(async (account, { config, state }) => {
        const { revokeTokens } = await import('../../auth/commands/token.ts');
        const target = await findState({ state, config });
        finish(await revokeTokens(account, target));
      }),
    'portcullis token revoke bob',
  );
}
