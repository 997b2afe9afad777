import type { Command } from '@commander-js/extra-typings';
import { CommanderError } from 'commander';
import { describeSystemError } from '#libs/process/describe-system-error.ts';
import { UsageError } from '#libs/process/usage-error.ts';
import { type AnyCommand, fullName } from './command-line/command-tree.ts';
import { watchOutput } from './standard-output.ts';

/**
 * Runs the command that the arguments name. What fails is one sentence on standard error: exit code 2 if the command line was
 * not understood, else 1.
 */
export async function runProgram(program: Command, args: readonly string[]): Promise<void> {
  watchOutput();
  let running: AnyCommand = program;
  program.hook('preAction', (_, command) => {
    running = command as AnyCommand;
  });
  try {
    await program.parseAsync(args, { from: 'user' });
  } catch (error) {
    // It has said itself what is wrong, or printed what was asked for.
    if (error instanceof CommanderError) process.exitCode ??= error.exitCode === 0 ? 0 : 2;
    else await fail(error as Error, running);
  }
}

async function fail(error: Error, running: AnyCommand): Promise<void> {
  const isUsage = error instanceof UsageError;
  process.stderr.write(`portcullis: ${await describeSystemError(error)}\n`);
  if (isUsage) process.stderr.write(`Try '${fullName(running)} --help'.\n`);
  process.exitCode = isUsage ? 2 : 1;
}
