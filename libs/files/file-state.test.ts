import assert from 'node:assert/strict';
import { rename, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { createTemporaryFolder } from '../../test/support/temporary-folder.ts';
import { type FileState, isSameState, isSettled, stateOf } from './file-state.ts';

const second = 1_000_000_000n;
const state: FileState = { device: 1n, inode: 2n, size: 3n, modified: second, changed: second };

test('a state is another one by each part of it', () => {
  assert.ok(isSameState(state, { ...state }));
  for (const part of ['device', 'inode', 'size', 'modified', 'changed'] as const) {
    assert.ok(!isSameState(state, { ...state, [part]: state[part] + 1n }), part);
  }
});

test('a state is settled two seconds after the last change, and not if that is in the future', () => {
  assert.ok(!isSettled(state, 3000));
  assert.ok(isSettled(state, 3001));
  assert.ok(!isSettled({ ...state, modified: 0n }, 2500));
  assert.ok(!isSettled({ ...state, changed: 10n * second }, 3001));
});

test('with a clock of whole seconds, a file that has another content never has the state that was settled', () => {
  // A filesystem with two inodes that come back in turn, as a file that is replaced again and again has them.
  let now = 1_000_000;
  let inode = 0;
  let content = 0;
  let changed = 0n;
  const write = () => {
    content += 1;
    inode = 1 - inode;
    changed = BigInt(Math.floor(now / 1000)) * second;
  };
  const look = (): FileState => ({ ...state, inode: BigInt(inode), modified: changed, changed });
  const kept: { state: FileState; content: number }[] = [];
  let unsettled = 0;
  write();
  // Steps that do not fit into a second, writes at all of its moments.
  for (let step = 0; step < 20_000; step += 1) {
    now += 7 + ((step * 13) % 400);
    if (step % 17 < 3) write();
    const seen = look();
    for (const one of kept) {
      if (isSameState(one.state, seen)) assert.equal(one.content, content, `at ${now}`);
    }
    if (isSettled(seen, now)) kept.push({ state: seen, content });
    else unsettled += 1;
    if (kept.length > 8) kept.shift();
  }
  assert.ok(unsettled > 1000 && kept.length === 8, 'both happen');
});

test('a file that is replaced by another one with the same bytes and times has another state', async () => {
  await using folder = await createTemporaryFolder();
  const [path, next] = [join(folder.path, 'link'), join(folder.path, 'next')];
  await writeFile(path, 'one');
  const before = stateOf(await stat(path, { bigint: true }));
  await writeFile(next, 'two');
  await rename(next, path);
  assert.ok(!isSameState(before, stateOf(await stat(path, { bigint: true }))));
});
