import assert from 'node:assert/strict';
import { chown, link, readFile, stat, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, test } from 'node:test';
import {
  createTemporaryFolder,
  type TemporaryFolder,
} from '../../test/support/temporary-folder.ts';
import { listen } from './serve.ts';

describe('listening at a Unix socket', () => {
  let folder: TemporaryFolder;
  let path: string;

  beforeEach(async () => {
    folder = await createTemporaryFolder();
    path = join(folder.path, 'a.sock');
  });

  afterEach(() => folder.remove());

  /** Leaves a socket behind, as a process does that is killed. */
  async function leaveSocket(): Promise<void> {
    const server = createServer();
    const other = join(folder.path, 'b.sock');
    await listen(server, { socket: other });
    await link(other, path);
    await new Promise((resolve) => server.close(resolve));
  }

  test('replaces a socket that a dead process of ours left', async () => {
    await leaveSocket();
    const server = createServer();
    await listen(server, { socket: path });
    server.close();
  });

  test('leaves a file alone', async () => {
    await writeFile(path, 'precious');
    await assert.rejects(
      listen(createServer(), { socket: path }),
      /^Error: http\.addr: .*a\.sock exists and is not a socket; remove it or use another path$/,
    );
    assert.equal(await readFile(path, 'utf8'), 'precious');
  });

  test('leaves the socket of another user alone', { skip: process.getuid?.() !== 0 }, async () => {
    await leaveSocket();
    await chown(path, 65_534, 65_534);
    await assert.rejects(listen(createServer(), { socket: path }), /another user's socket/);
    assert.ok((await stat(path)).isSocket());
    await chown(folder.path, 65_534, 65_534);
    const server = createServer();
    await listen(server, { socket: path });
    server.close();
  });
});
