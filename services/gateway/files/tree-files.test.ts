import assert from 'node:assert/strict';
import { mkdir, readdir, readlink, rm, symlink, truncate, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { type FileOffer, formatFileOffer } from '#libs/http/file-offer.ts';
import { treeIdentity } from '#libs/internal/tree-identity.ts';
import { partiesOf } from '#libs/limits/parties.ts';
import { type Gateway, type GatewaySetup, startGateway } from '../../../test/support/gateway.ts';
import { rawClient } from '../../../test/support/raw-client.ts';
import { mustRun } from '../../../test/support/run.ts';
import { type Act, answer } from '../../../test/support/scripted-peer.ts';
import {
  createTemporaryFolder,
  type TemporaryFolder,
} from '../../../test/support/temporary-folder.ts';
import { waitFor } from '../../../test/support/wait-for.ts';

const hex = 'ab'.repeat(32);
const path = `blobs/sha256/ab/${hex}/data`;
const blob = `/v2/a/blobs/sha256:${hex}`;
const headers = { 'Content-Type': 'application/octet-stream', ETag: `"sha256:${hex}"` };

function offer(given: Partial<FileOffer> = {}, status = 200): Act {
  const value = formatFileOffer({ path, size: 10, ranges: [], ...given });
  return answer(status, '', { ...headers, 'X-Portcullis-File': value });
}

describe('a file that a core offers', () => {
  let tree: TemporaryFolder;
  let gateway: Gateway;

  beforeEach(async () => {
    tree = await createTemporaryFolder();
    await mkdir(dirname(join(tree.path, path)), { recursive: true });
    await writeFile(join(tree.path, path), '0123456789');
  });

  afterEach(async () => {
    await gateway?.close();
    await tree.remove();
  });

  async function start(setup: GatewaySetup = {}): Promise<void> {
    gateway = await startGateway({ tree: tree.path, ...setup });
  }
  const asked = () => gateway.cores.flatMap(({ requests }) => requests);
  const trees = () => asked().map((request) => request.headers['x-portcullis-tree']);

  test('is sent whole, with the headers of the answer and none of ours', async () => {
    await start();
    gateway.core.next(offer());
    const got = await gateway.send('GET', blob);
    assert.deepEqual([got.status, got.text], [200, '0123456789']);
    assert.equal(got.headers['content-length'], '10');
    assert.equal(got.headers.etag, headers.ETag);
    assert.deepEqual(
      Object.keys(got.headers).filter((name) => name.startsWith('x-portcullis')),
      [],
    );
    assert.deepEqual(trees(), [await treeIdentity(tree.path)]);
  });

  test('is sent in the ranges that the core chose', async () => {
    await start();
    gateway.core.next(offer({ ranges: [{ start: 2, end: 4 }] }, 206));
    const one = await gateway.send('GET', blob);
    assert.deepEqual([one.status, one.text], [206, '234']);
    assert.equal(one.headers['content-range'], 'bytes 2-4/10');
    const ranges = [
      { start: 0, end: 0 },
      { start: 8, end: 9 },
    ];
    gateway.core.next(offer({ ranges }, 206));
    const several = await gateway.send('GET', blob);
    const boundary = /boundary=(\w+)$/.exec(String(several.headers['content-type']))?.[1];
    assert.equal(Number(several.headers['content-length']), several.body.length);
    const part = (range: string, text: string) =>
      `\r\n--${boundary}\r\nContent-Type: application/octet-stream\r\nContent-Range: bytes ${range}/10\r\n\r\n${text}`;
    assert.equal(several.text, `${part('0-0', '0')}${part('8-9', '89')}\r\n--${boundary}--\r\n`);
  });

  test('of several MiB arrives as it is', async () => {
    await start();
    const bytes = Buffer.alloc(5 * 1024 * 1024 + 3, 'portcullis');
    await writeFile(join(tree.path, path), bytes);
    gateway.core.next(offer({ size: bytes.length }));
    assert.ok((await gateway.send('GET', blob)).body.equals(bytes));
  });

  test('of no bytes is an answer without a body', async () => {
    await start();
    await writeFile(join(tree.path, path), '');
    gateway.core.next(offer({ size: 0 }));
    const { status, text, headers: got } = await gateway.send('GET', blob);
    assert.deepEqual([status, text, got['content-length']], [200, '', '0']);
  });

  for (const [what, spoil] of [
    ['is gone', () => tree.remove()],
    ['has another size', () => truncate(join(tree.path, path), 9)],
    [
      'is a link',
      async () => {
        const other = `blobs/sha256/ab/${'ab'.repeat(31)}ac/data`;
        await mkdir(dirname(join(tree.path, other)), { recursive: true });
        await symlink(join(tree.path, path), join(tree.path, other));
        return other;
      },
    ],
    [
      'is no file',
      async () => {
        await rm(join(tree.path, path));
        await mustRun('mkfifo', [join(tree.path, path)]);
      },
    ],
    ['is no blob', async () => '../../../etc/passwd'],
    ['lies elsewhere', async () => `blobs/sha256/../../${path}`],
    ['is in another folder than its digits say', async () => path.replace('/ab/', '/ac/')],
  ] as const) {
    test(`and ${what} has the core asked for the bytes`, async () => {
      await start();
      const offered = (await spoil()) as string | undefined;
      gateway.core.next(offer({ path: offered ?? path }), answer(200, 'from the core', headers));
      const got = await gateway.send('GET', blob);
      assert.deepEqual([got.status, got.text], [200, 'from the core']);
      assert.deepEqual(trees(), [trees()[0], undefined]);
      assert.equal(gateway.budgets.downloads.used, 0);
    });
  }

  test('is let go when its client leaves', async () => {
    await start();
    const bytes = Buffer.alloc(64 * 1024 * 1024);
    await writeFile(join(tree.path, path), bytes);
    gateway.core.next(offer({ size: bytes.length }));
    const client = await rawClient(gateway.port);
    client.socket.pause();
    client.send(`GET ${blob} HTTP/1.1\r\nHost: x\r\n\r\n`);
    const isOpen = async () => {
      const links = (await readdir('/proc/self/fd')).map((fd) => readlink(`/proc/self/fd/${fd}`));
      const found = await Promise.allSettled(links);
      return found.some((one) => one.status === 'fulfilled' && one.value.endsWith(path));
    };
    await waitFor('the file to be opened', isOpen);
    assert.ok(gateway.budgets.downloads.used > 0);
    client.socket.destroy();
    await waitFor('the file to be closed', async () => !(await isOpen()));
    await waitFor('its memory to be given back', () => gateway.budgets.downloads.used === 0);
  });

  test('is not asked for again when its client leaves while it waits for memory', async () => {
    await start();
    const { downloads } = gateway.budgets;
    using _all = await downloads.take(partiesOf('192.0.2.1', 'somebody'), downloads.capacity);
    gateway.core.next(offer());
    const client = await rawClient(gateway.port);
    client.send(`GET ${blob} HTTP/1.1\r\nHost: x\r\n\r\n`);
    await waitFor('it to be offered', () => asked().length === 1);
    client.socket.end();
    assert.equal(await client.untilClosed(), '');
    assert.equal(asked().length, 1);
  });

  test('that ends too early breaks the answer off', async () => {
    await start();
    const size = 64 * 1024 * 1024;
    await writeFile(join(tree.path, path), Buffer.alloc(size));
    gateway.core.next(offer({ size }));
    const client = await rawClient(gateway.port);
    client.socket.pause();
    client.send(`GET ${blob} HTTP/1.1\r\nHost: x\r\n\r\n`);
    await waitFor('it to be sent', () => gateway.budgets.downloads.used > 0);
    await truncate(join(tree.path, path), 1);
    client.socket.resume();
    const text = await client.untilClosed();
    assert.ok(text.length < size);
    assert.ok(gateway.messages().some((line) => line.includes('a blob cannot be read')));
  });

  test('is asked for of cores of this machine only, and not for what a client says', async () => {
    await start({ by: 'tcp' });
    gateway.core.next(answer(200, 'from the core', headers));
    const given = { 'X-Portcullis-Tree': String(await treeIdentity(tree.path)) };
    assert.equal((await gateway.send('GET', blob, { headers: given })).text, 'from the core');
    assert.deepEqual(trees(), [undefined]);
  });

  test('is not sent where it was not asked for', async () => {
    await start();
    gateway.core.next(offer(), answer(200, 'a list'));
    assert.equal((await gateway.send('GET', '/v2/a/tags/list')).text, 'a list');
    assert.deepEqual(trees(), [undefined, undefined]);
  });
});
