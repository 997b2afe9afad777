import { surviveErrors } from '#libs/log/line-output.ts';
import { UsageError } from './usage-error.ts';

let outputIsLog = false;

/** Says that what this process writes is a log from here on: where it cannot be written, that is no failure of the command. */
export function writeLogOnly(): void {
  outputIsLog = true;
}

/**
 * Runs a command of the command line with the arguments of this process. What fails is one sentence on
 * standard error: exit code 2 if the command line was not understood, else 1.
 * @param command gives the exit code
 */
export async function runCommand(command: (args: string[]) => Promise<number>): Promise<void> {
  // Whoever reads only the first lines, as head does, ends nothing that was begun.
  surviveErrors(process.stdout);
  surviveErrors(process.stderr);
  process.stdout.on('error', ({ code, message }: NodeJS.ErrnoException) => {
    if (code === 'EPIPE' || outputIsLog) return;
    process.stderr.write(`portcullis: the output cannot be written: ${message}\n`);
    process.exitCode = 1;
  });
  try {
    const code = await command(process.argv.slice(2));
    process.exitCode ??= code;
  } catch (error) {
    const isUsage =
      error instanceof UsageError ||
      String((error as NodeJS.ErrnoException).code).startsWith('ERR_PARSE_ARGS');
    process.stderr.write(`portcullis: ${(error as Error).message}\n`);
    if (isUsage) process.stderr.write("Try 'portcullis --help'.\n");
    process.exitCode = isUsage ? 2 : 1;
  }
}

/** A command with a page of its own for `--help`. */
export interface DocumentedCommand {
  run: (args: string[]) => Promise<number>;
  usage: string;
}

/** Runs the one of several commands that the first argument of this process names. */
export async function runOneOf(
  commands: Readonly<Record<string, DocumentedCommand>>,
): Promise<void> {
  await runCommand(async ([name = '', ...rest]) => {
    const command = Object.hasOwn(commands, name) ? commands[name] : undefined;
    if (command === undefined) throw new UsageError(`unknown command "${name}"`);
    if (rest.includes('-h') || rest.includes('--help')) {
      process.stdout.write(command.usage);
      return 0;
    }
    return await command.run(rest);
  });
}
