import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A folder that is gone, with all it holds, when it is disposed of. */
export interface TemporaryFolder extends AsyncDisposable {
  path: string;
  /** Paths of all files in it, relative, in order. */
  files(): Promise<string[]>;
  remove(): Promise<void>;
}

export async function createTemporaryFolder(): Promise<TemporaryFolder> {
  const path = await mkdtemp(join(tmpdir(), 'portcullis-test-'));
  const remove = () => rm(path, { recursive: true, force: true });
  return {
    path,
    async files() {
      const entries = await readdir(path, { recursive: true, withFileTypes: true });
      return entries
        .filter((entry) => !entry.isDirectory())
        .map((entry) => join(entry.parentPath, entry.name).slice(path.length + 1))
        .sort();
    },
    remove,
    [Symbol.asyncDispose]: remove,
  };
}
