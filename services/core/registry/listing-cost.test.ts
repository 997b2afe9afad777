import assert from 'node:assert/strict';
import { mkdir, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { digestOf } from '#libs/oci/digest.ts';
import { parseRepositoryName } from '#libs/oci/reference.ts';
import {
  type CountingDriver,
  createCountingDriver,
} from '../../../test/support/counting-driver.ts';
import {
  createTemporaryFolder,
  type TemporaryFolder,
} from '../../../test/support/temporary-folder.ts';
import { createFilesystemDriver } from '../storage/filesystem/filesystem.ts';
import { walkRepositories } from './catalog.ts';
import { paths } from './paths.ts';
import { createTagStore } from './tag-store.ts';

const app = parseRepositoryName('app');
const digest = digestOf(Buffer.from('x'));

describe('what a page costs', () => {
  let folder: TemporaryFolder;
  let driver: CountingDriver;

  beforeEach(async () => {
    folder = await createTemporaryFolder();
    driver = createCountingDriver(await createFilesystemDriver(folder.path));
  });

  afterEach(async () => {
    await folder.remove();
  });

  /** Made by somebody else a while ago. */
  async function make(path: string, names: string[], file: string, text: string): Promise<void> {
    const parent = join(folder.path, path);
    for (const name of names) {
      await mkdir(join(parent, name, file, '..'), { recursive: true });
      await writeFile(join(parent, name, file), text);
    }
    const past = new Date(Date.now() - 60_000);
    await utimes(parent, past, past);
  }

  const numbered = (count: number) =>
    Array.from({ length: count }, (_, index) => `n${String(index).padStart(5, '0')}`);

  /** The storage operations of a page of ten from the middle. */
  async function costOfTags(count: number): Promise<string[]> {
    await make(paths.tags(app), numbered(count), 'current/link', digest);
    driver.reset();
    const last = numbered(count)[count / 2] ?? '';
    const { tags, more } = await createTagStore(driver).list(app, { last, limit: 10 });
    assert.deepEqual([tags.length, more], [10, true]);
    return driver.operations();
  }

  async function costOfRepositories(count: number): Promise<string[]> {
    await make(
      paths.repositories,
      numbered(count),
      `_layers/sha256/${'0'.repeat(64)}/link`,
      digest,
    );
    driver.reset();
    const last = numbered(count)[count / 2] ?? '';
    const found: string[] = [];
    for await (const name of walkRepositories(driver, last)) {
      found.push(name);
      if (found.length === 10) break;
    }
    assert.equal(found[0], numbered(count)[count / 2 + 1]);
    return driver.operations();
  }

  test('the same storage operations for tags of many as of few', async () => {
    const few = await costOfTags(100);
    assert.deepEqual(await costOfTags(4000), few);
    assert.ok(few.length <= 12, `${few.length} operations for a page of 10`);
  });

  test('the same storage operations for repositories of many as of few', async () => {
    const few = await costOfRepositories(100);
    assert.deepEqual(await costOfRepositories(4000), few);
    assert.ok(few.length <= 40, `${few.length} operations for a page of 10`);
  });
});
