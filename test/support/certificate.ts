import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { mustRun } from './run.ts';
import { launcher } from './stack.ts';
import { createTemporaryFolder } from './temporary-folder.ts';

/** A certificate of localhost and its key, in PEM, as `portcullis certs` makes them; nothing stays on the disk. */
export async function createCertificate(): Promise<{ cert: Buffer; key: Buffer }> {
  await using folder = await createTemporaryFolder();
  await mustRun(launcher, ['certs', folder.path, 'localhost']);
  const [cert, key] = await Promise.all([
    readFile(join(folder.path, 'site.crt')),
    readFile(join(folder.path, 'site.key')),
  ]);
  return { cert, key };
}
