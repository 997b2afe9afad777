import { fileURLToPath } from 'node:url';
import { runBundled } from '#libs/process/run-bundled.ts';

try {
  await runBundled('portcullis', () => import('./start.ts'));
} catch (error) {
  const { code, message } = error as NodeJS.ErrnoException;
  const [, name] = /Cannot find package '([^']+)'/.exec(message) ?? [];
  if (code !== 'ERR_MODULE_NOT_FOUND' || name === undefined) throw error;
  process.stderr.write(
    `portcullis: the package ${name} is not installed; run 'npm install' in ${fileURLToPath(new URL('../..', import.meta.url))}\n`,
  );
  process.exitCode = 1;
}
