import completion from '@bomb.sh/tab/commander';
import { Command } from '@commander-js/extra-typings';
import type { Command as PlainCommand } from 'commander';
import { readVersion } from '#libs/process/version.ts';
import { nearestWord } from '#libs/values/nearest-word.ts';
import { defineAccess } from './access.ts';
import { defineAccounts } from './accounts.ts';
import { type AnyCommand, allCommands, fullName, withExamples } from './command-tree.ts';
import { finish } from './finish.ts';
import { aboutConfiguration, exitCodes } from './help-texts.ts';

import { defineServing } from './serving.ts';
import { defineStorage } from './storage.ts';

/** The whole command line: every command, its arguments, options and examples. What a command does is loaded when it runs. */
export async function createProgram(): Promise<Command> {
  const program = new Command('portcullis');
  program
    .description('A private container registry.')
    .version(`portcullis ${await readVersion()}`, '-v, --version', 'print the version')
    .helpOption('-h, --help', 'print help')
    .helpCommand(false)
    .enablePositionalOptions()
    .exitOverride()
    .configureOutput({
      outputError: (text, write) => write(onOneLine(text)),
    })
    .commandsGroup('Run it:');
  defineServing(program);
  defineAccounts(program);
  defineAccess(program);
  defineStorage(program);
  program.commandsGroup('More:');
  program
    .command('help')
    .summary('print help of a command')
    .argument('[command...]', 'the command')
    .action((names) => helpOf(program, names));
  withExamples(
    program
      .command('manual')
      .summary('print the manual of all commands')
      .description('Prints the manual of all commands.')
      .option('--format <format>', 'man (for man -l) or markdown', 'man')
      .action(async ({ format }) => {
        const { printManual } = await import('./manual.ts');
        finish(printManual(program, format));
      }),
    'portcullis manual | man -l -',
    'portcullis manual > /usr/local/share/man/man1/portcullis.1',
  );
  completion(program as unknown as PlainCommand, { completionCommandName: 'completion' });
  for (const command of program.commands) {
    if (command.name() !== 'completion') continue;
    command.summary('print a script that completes commands in a shell');
    withExamples(command, 'source <(portcullis completion bash)');
  }
  program.addHelpText('after', () => {
    const help = program.createHelp();
    const codes = exitCodes.map(([code, meaning]) => `${code} ${meaning}`).join('; ');
    const width = process.stdout.columns ?? 80;
    return ['', aboutConfiguration, '', `Exit codes: ${codes}.`]
      .map((text) => help.boxWrap(text, width))
      .join('\n');
  });
  for (const command of allCommands(program)) {
    command.showHelpAfterError(`Try '${fullName(command)} --help'.`);
  }
  return program;
}

/** Prints the help of a command. @throws CommanderError for one that there is not */
function helpOf(program: Command, names: readonly string[]): void {
  let found: AnyCommand = program;
  for (const name of names) {
    const next: AnyCommand | undefined = found.commands.find((one) => one.name() === name);
    if (next === undefined) {
      const all = found.commands.map((one) => one.name());
      const near = nearestWord(name, all);
      const hint = near === undefined ? '' : ` (did you mean ${near}?)`;
      program.error(`error: unknown command '${name}'${hint}`, { exitCode: 2 });
    } else found = next;
  }
  found.help();
}

/** As all that is wrong is said: `portcullis: unknown command 'srve' (did you mean serve?)`. */
function onOneLine(text: string): string {
  return text.replace(/^error: /, 'portcullis: ').replace(/\n\(Did you mean /, ' (did you mean ');
}
