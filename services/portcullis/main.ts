import { fileURLToPath } from 'node:url';

try {
  const { prepareArguments } = await import('./command-line/prepare-arguments.ts');
  const { createProgram } = await import('./command-line/program.ts');
  const { runProgram } = await import('./run-program.ts');
  await runProgram(await createProgram(), prepareArguments(process.argv.slice(2)));
} catch (error) {
  const { code, message } = error as NodeJS.ErrnoException;
  const [, name] = /Cannot find package '([^']+)'/.exec(message) ?? [];
  if (code !== 'ERR_MODULE_NOT_FOUND' || name === undefined) throw error;
  process.stderr.write(
    `portcullis: the package ${name} is not installed; run 'npm install' in ${fileURLToPath(new URL('../..', import.meta.url))}\n`,
  );
  process.exitCode = 1;
}
