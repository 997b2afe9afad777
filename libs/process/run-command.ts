import { UsageError } from './usage-error.ts';

/**
 * Runs a command of the command line with the arguments of this process. What fails is one sentence on
 * standard error: exit code 2 if the command line was not understood, else 1.
 * @param command gives the exit code
 */
export async function runCommand(command: (args: string[]) => Promise<number>): Promise<void> {
  try {
    process.exitCode = await command(process.argv.slice(2));
  } catch (error) {
    const isUsage =
      error instanceof UsageError ||
      String((error as NodeJS.ErrnoException).code).startsWith('ERR_PARSE_ARGS');
    process.stderr.write(`portcullis: ${(error as Error).message}\n`);
    if (isUsage) process.stderr.write("Try 'portcullis --help'.\n");
    process.exitCode = isUsage ? 2 : 1;
  }
}
