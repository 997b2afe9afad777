import { randomUUID } from 'node:crypto';
import { mkdir, open, readFile, realpath, rename, rm, stat, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

/** Milliseconds to wait for somebody else who edits the same file. */
const patience = 10_000;
/** Milliseconds after which a lock is nobody's: an edit takes a few. */
const stale = 30_000;

/**
 * Replaces a small file by what `edit` makes of it, one at a time: a reader sees the old text or the new one, and
 * of two editors none loses what it wrote. A new file is for its owner alone, and belongs to whom the folder belongs;
 * one that there was keeps its owner and mode.
 * @param edit gets the text, undefined if there is none; gives the new one
 * @throws Error if somebody else holds the file for too long; whatever `edit` throws
 */
export async function editFile(
  path: string,
  edit: (text: string | undefined) => string | Promise<string>,
): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  const target = await realpath(path).catch(() => path);
  const release = await lock(`${target}.lock`);
  try {
    const before = await stat(target).catch(() => undefined);
    const text = before === undefined ? undefined : await readFile(target, 'utf8');
    await replace(target, await edit(text), before);
  } finally {
    await release();
  }
}

interface FileState {
  uid: number;
  gid: number;
  mode: number;
}

async function replace(target: string, text: string, before: FileState | undefined): Promise<void> {
  const mode = before === undefined ? 0o600 : before.mode & 0o777;
  // Root may type for the user who serves.
  const owner = before ?? (await stat(dirname(target)));
  const temporary = `${target}.${randomUUID()}.tmp`;
  try {
    // Nobody's link is followed, and nobody's file is taken.
    const handle = await open(temporary, 'wx', mode);
    try {
      if (process.getuid?.() === 0 || before !== undefined) {
        await handle.chown(owner.uid, owner.gid);
      }
      await handle.chmod(mode);
      await handle.writeFile(text);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(temporary, target);
    await syncFolder(dirname(target));
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
}

/** Makes what was renamed or linked in a folder survive a loss of power. */
export async function syncFolder(path: string): Promise<void> {
  const handle = await open(path, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

async function lock(path: string): Promise<() => Promise<void>> {
  const deadline = performance.now() + patience;
  const token = randomUUID();
  const release = async () => {
    // Whoever took too long may have lost it to somebody else.
    if ((await readFile(path, 'utf8').catch(() => '')) === token) await rm(path, { force: true });
  };
  for (;;) {
    try {
      await writeFile(path, token, { flag: 'wx', mode: 0o600 });
      return release;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    }
    const held = await stat(path).catch(() => undefined);
    if (held !== undefined && Date.now() - held.mtimeMs > stale) {
      await rm(path, { force: true });
      continue;
    }
    if (performance.now() > deadline) {
      throw new Error(`somebody else is changing the file; if not, remove ${path}`);
    }
    await sleep(20);
  }
}
