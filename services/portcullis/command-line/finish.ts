/** Ends the program with a command's exit code, unless something failed already, as its output. */
export function finish(code: number): void {
  process.exitCode ??= code;
}
