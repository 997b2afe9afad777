import type { Command } from '@commander-js/extra-typings';

/** A command, whatever its arguments and options are. */
// biome-ignore lint/suspicious/noExplicitAny: the library infers them from the declaration
export type AnyCommand = Command<any[], any, any>;

/** A command and all below it. */
export function allCommands(command: AnyCommand): AnyCommand[] {
  return [command, ...command.commands.flatMap((one) => allCommands(one as AnyCommand))];
}

/** `portcullis user add` */
export function fullName(command: AnyCommand): string {
  const { parent } = command;
  return parent === null ? command.name() : `${fullName(parent as AnyCommand)} ${command.name()}`;
}

const examplesOf = new WeakMap<AnyCommand, readonly string[]>();

/** Shows command lines below the help of a command. */
export function withExamples(command: AnyCommand, ...lines: string[]): void {
  examplesOf.set(command, lines);
  const title = lines.length === 1 ? 'Example:' : 'Examples:';
  command.addHelpText('after', ['', title, ...lines.map((line) => `  ${line}`)].join('\n'));
}

/** What {@link withExamples} shows of a command. */
export function examplesFor(command: AnyCommand): readonly string[] {
  return examplesOf.get(command) ?? [];
}
