import { surviveErrors } from '#libs/log/line-output.ts';

let outputIsLog = false;

/** Says that what this process writes is a log from here on: where it cannot be written, that is no failure of the command. */
export function writeLogOnly(): void {
  outputIsLog = true;
}

/** Has a command fail whose output cannot be written; one of which only the first lines are read, as by head, goes on. */
export function watchOutput(): void {
  surviveErrors(process.stdout);
  surviveErrors(process.stderr);
  process.stdout.on('error', ({ code, message }: NodeJS.ErrnoException) => {
    if (code === 'EPIPE' || outputIsLog) return;
    process.stderr.write(`portcullis: the output cannot be written: ${message}\n`);
    process.exitCode = 1;
  });
}
