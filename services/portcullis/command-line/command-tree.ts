import type { Command } from '@commander-js/extra-typings';

/** A command and all below it. */
// biome-ignore lint/suspicious/noExplicitAny: of whatever arguments and options
export type AnyCommand = Command<any[], any, any>;

export function allCommands(command: AnyCommand): AnyCommand[] {
  return [command, ...command.commands.flatMap((one) => allCommands(one as AnyCommand))];
}

/** `portcullis user add` */
export function fullName(command: AnyCommand): string {
  const { parent } = command;
  return parent === null ? command.name() : `${fullName(parent as AnyCommand)} ${command.name()}`;
}

const examplesOf = new WeakMap<object, readonly string[]>();

/** Shows command lines below the help of a command. */
// biome-ignore lint/suspicious/noExplicitAny: of whatever arguments and options
export function withExamples<C extends Command<any[], any, any>>(
  command: C,
  ...lines: string[]
): C {
  examplesOf.set(command, lines);
  const title = lines.length === 1 ? 'Example:' : 'Examples:';
  command.addHelpText('after', ['', title, ...lines.map((line) => `  ${line}`)].join('\n'));
  return command;
}

/** What {@link withExamples} shows of a command. */
export function examplesFor(command: object): readonly string[] {
  return examplesOf.get(command) ?? [];
}
