import assert from 'node:assert/strict';
import { mkdir, readFile, rename, rm, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { createRecordingLog } from '../../test/support/recording-log.ts';
import { createTemporaryFolder } from '../../test/support/temporary-folder.ts';
import { waitFor } from '../../test/support/wait-for.ts';
import { type WatchedFile, watchFile } from './watch-file.ts';

/** A watched file, and every text that was loaded of it. */
async function watched(first: string) {
  const folder = await createTemporaryFolder();
  const path = join(folder.path, 'file');
  await writeFile(path, first);
  const loaded: string[] = [];
  const { log } = createRecordingLog();
  const load = async () => void loaded.push(await readFile(path, 'utf8').catch(() => 'gone'));
  const watch = watchFile(path, load, log, 20);
  await watch.refresh();
  return {
    path,
    loaded,
    watch,
    async [Symbol.asyncDispose]() {
      watch.close();
      await folder.remove();
    },
  };
}

test('a file that is written in two steps is loaded when it is whole', async () => {
  await using file = await watched('bob and eve');
  for (const pause of [150, 700]) {
    // As a program does that begins with an empty file.
    await truncate(file.path, 0);
    await writeFile(file.path, 'bob');
    await sleep(pause);
    await writeFile(file.path, `bob and ann ${pause}`);
    await waitFor('the whole file', () => file.loaded.includes(`bob and ann ${pause}`));
  }
  assert.deepEqual(file.loaded, ['bob and eve', 'bob and ann 150', 'bob and ann 700']);
});

test('one that could not be read for a moment is read later, and that is said once', async () => {
  const folder = await createTemporaryFolder();
  const path = join(folder.path, 'file');
  await writeFile(path, 'first');
  const { log, messages } = createRecordingLog();
  let failures = 0;
  const loaded: string[] = [];
  const watch = watchFile(
    path,
    async () => {
      const text = await readFile(path, 'utf8');
      if (text === 'second') failures += 1;
      if (text === 'second' && failures < 3) {
        throw Object.assign(new Error('EMFILE: too many open files'), { syscall: 'open' });
      }
      loaded.push(text);
    },
    log,
    20,
  );
  try {
    await watch.refresh();
    await writeFile(path, 'second');
    await waitFor('the second', () => loaded.includes('second'));
    assert.equal(failures, 3);
    assert.equal(messages().filter((line) => line.includes('is invalid')).length, 1);
  } finally {
    watch.close();
    await folder.remove();
  }
});

test('one in a folder that this user may not enter is told once, and taken when they may', {
  skip: process.getuid?.() !== 0,
}, async () => {
  await using folder = await createTemporaryFolder();
  const path = join(folder.path, 'closed/file');
  await mkdir(join(folder.path, 'closed'), { mode: 0o700 });
  await writeFile(path, 'first');
  const { log, messages } = createRecordingLog();
  const loaded: string[] = [];
  const load = async () => void loaded.push(await readFile(path, 'utf8'));
  process.seteuid?.(4321);
  let watch: WatchedFile;
  try {
    watch = watchFile(path, load, log, 3_600_000);
    await watch.refresh();
    await watch.refresh();
  } finally {
    process.seteuid?.(0);
  }
  const said = messages().filter((message) => message.includes('may not look at the file'));
  assert.equal(said.length, 1);
  assert.deepEqual(loaded, []);
  await watch.refresh();
  assert.deepEqual(loaded, ['first']);
  watch.close();
});

test('one that is away for a moment, as while it is made anew, is not missed', async () => {
  await using file = await watched('first');
  await rm(file.path);
  await sleep(300);
  await writeFile(file.path, 'second');
  await waitFor('the second', () => file.loaded.includes('second'));
  assert.deepEqual(file.loaded, ['first', 'second']);
});

test('one that is replaced by another is loaded soon, though it is shorter', async () => {
  await using file = await watched('a long text');
  await writeFile(`${file.path}.new`, 'short');
  const began = performance.now();
  await rename(`${file.path}.new`, file.path);
  await waitFor('the other', () => file.loaded.includes('short'));
  assert.ok(performance.now() - began < 1500, 'much less than what is shorter where it stands');
});

test('one that becomes shorter and stays so is loaded', async () => {
  await using file = await watched('bob and eve');
  await writeFile(file.path, 'bob');
  await waitFor('the shorter', () => file.loaded.includes('bob'));
});

test('who asks for a look knows afterwards that it was taken', async () => {
  await using file = await watched('first');
  await writeFile(file.path, 'second, longer');
  await file.watch.refresh();
  assert.deepEqual(file.loaded, ['first', 'second, longer']);
});
