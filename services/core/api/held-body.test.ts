import assert from 'node:assert/strict';
import { once } from 'node:events';
import { open, readdir, readFile, stat } from 'node:fs/promises';
import { type ClientRequest, type IncomingMessage, request } from 'node:http';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, test } from 'node:test';
import type { WrittenFile } from '#libs/files/file-to-write.ts';
import { type BodyOrder, delegation, formatReport, orderIn } from '#libs/http/held-body.ts';
import { digestOf } from '#libs/oci/digest.ts';
import { type Core, type CoreSetup, startCore } from '../../../test/support/core.ts';
import { makeLayer } from '../../../test/support/images.ts';
import {
  createTemporaryFolder,
  type TemporaryFolder,
} from '../../../test/support/temporary-folder.ts';
import { waitFor } from '../../../test/support/wait-for.ts';
import type { StorageDriver } from '../storage/driver.ts';
import { createFilesystemDriver } from '../storage/filesystem/filesystem.ts';

const name = '7:42';
const layer = makeLayer(1000);
const { digest } = layer.descriptor;

/** What a gateway sends that holds a body, as the test directs it. */
interface Held {
  outgoing: ClientRequest;
  /** The orders that came so far. */
  orders: BodyOrder[];
  next(kind: BodyOrder['kind']): Promise<BodyOrder>;
  answer: Promise<{ status: number; headers: IncomingMessage['headers']; body: string }>;
}

describe('a body that a gateway holds', () => {
  let folder: TemporaryFolder;
  let driver: StorageDriver;
  let core: Core;

  const start = async (more: Partial<CoreSetup> = {}) => {
    folder = await createTemporaryFolder();
    driver = await createFilesystemDriver(folder.path);
    core = await startCore({ driver, tree: { name, validates: false }, ...more });
  };
  beforeEach(() => start());
  afterEach(async () => {
    await core.close();
    await folder.remove();
  });

  const tree = () => join(folder.path, 'docker/registry/v2');

  function hold(method: string, path: string, headers: Record<string, string> = {}): Held {
    const outgoing = request({
      ...{ port: core.port, method, path, agent: false },
      headers: {
        'X-Portcullis-Tree': name,
        'Transfer-Encoding': 'chunked',
        Expect: delegation,
        ...headers,
      },
    });
    const orders: BodyOrder[] = [];
    outgoing.on('information', ({ headers }) => {
      const order = orderIn(headers);
      if (order !== undefined) orders.push(order);
    });
    outgoing.flushHeaders();
    const answer = once(outgoing, 'response').then(async ([incoming]: IncomingMessage[]) => {
      let body = '';
      for await (const piece of incoming as IncomingMessage) body += piece;
      return { status: incoming?.statusCode ?? 0, headers: incoming?.headers ?? {}, body };
    });
    // Some are lost on purpose.
    answer.catch(() => {});
    outgoing.on('error', () => {});
    const next = (kind: BodyOrder['kind']) =>
      waitFor(`the order to ${kind}`, () => orders.find((order) => order.kind === kind));
    return { outgoing, orders, next, answer };
  }

  async function begin(): Promise<string> {
    const { headers } = await core.send('POST', '/v2/team/app/blobs/uploads/');
    return String(headers.location);
  }

  /** Opens the file of an order as a gateway does. */
  async function openOrdered(order: BodyOrder) {
    assert.ok(order.kind === 'write');
    const path = join(tree(), order.file.path);
    const { dev, ino, size } = await stat(path, { bigint: true });
    assert.deepEqual([order.file.identity, size], [`${dev}:${ino}`, 0n]);
    return { handle: await open(path, 'r+'), path };
  }

  const closed = (bytes: Buffer, isWhole = true): WrittenFile => ({
    ...{ kind: 'closed', size: bytes.length, digest: digestOf(bytes), isWhole },
  });

  test('is written by it, and becomes a blob by its report', async () => {
    const location = await begin();
    const patch = hold('PATCH', location, { 'X-Portcullis-Body-Length': '1000' });
    const { handle } = await openOrdered(await patch.next('write'));
    await handle.write(layer.bytes);
    await handle.close();
    patch.outgoing.end(formatReport(closed(layer.bytes)));
    const { status, headers } = await patch.answer;
    assert.deepEqual([status, headers.range], [202, '0-999']);
    const put = await core.send('PUT', `${headers.location}&digest=${digest}`);
    assert.equal(put.status, 201);
    assert.ok((await core.send('GET', `/v2/team/app/blobs/${digest}`)).body.equals(layer.bytes));
  });

  test('is sent where the upload has bytes, goes on elsewhere, or is not of a gateway that sees this tree', async () => {
    const location = await begin();
    const first = await core.send('PATCH', location, { body: layer.bytes.subarray(0, 10) });
    const more = hold('PATCH', String(first.headers.location));
    assert.deepEqual((await more.next('send')).kind, 'send');
    more.outgoing.end(layer.bytes.subarray(10));
    const { status, headers } = await more.answer;
    assert.deepEqual([status, headers.range], [202, '0-999']);
    const blind = hold('PATCH', await begin(), { 'X-Portcullis-Tree': '7:43' });
    await blind.next('send');
    blind.outgoing.end('x');
    assert.equal((await blind.answer).headers.range, '0-0');
    const ranged = hold('PATCH', await begin(), { 'Content-Range': '0-0' });
    await ranged.next('send');
    ranged.outgoing.end('x');
    assert.equal((await ranged.answer).status, 202);
  });

  test('of a client that leaves is kept as far as it came', async () => {
    const location = await begin();
    const patch = hold('PATCH', location);
    const { handle } = await openOrdered(await patch.next('write'));
    await handle.write(layer.bytes.subarray(0, 400));
    await handle.close();
    patch.outgoing.end(formatReport(closed(layer.bytes.subarray(0, 400), false)));
    assert.equal((await patch.answer).status, 400);
    const { headers } = await core.send('GET', location);
    assert.equal(headers.range, '0-399');
    const rest = await core.send('PUT', `${headers.location}&digest=${digest}`, {
      body: layer.bytes.subarray(400),
    });
    assert.equal(rest.status, 201);
  });

  test('that nobody reports stays open, and is copied by whoever goes on; a late writer changes nothing', async () => {
    const location = await begin();
    const lost = hold('PATCH', location);
    const { handle, path } = await openOrdered(await lost.next('write'));
    await handle.write(layer.bytes.subarray(0, 600));
    // Its process is stopped: it neither reports nor closes.
    const began = performance.now();
    const next = hold('PATCH', `${location.replace(/offset=\d+/, 'offset=600')}`);
    await lost.next('stop');
    await next.next('send');
    assert.ok(performance.now() - began >= 1900, 'it has time to report');
    assert.equal((await lost.answer).status, 503);
    next.outgoing.end(layer.bytes.subarray(600));
    const { status, headers } = await next.answer;
    assert.deepEqual([status, headers.range], [202, '0-999']);
    await assert.rejects(stat(path), { code: 'ENOENT' });
    assert.equal((await core.send('PUT', `${headers.location}&digest=${digest}`)).status, 201);
    // Now it goes on.
    await handle.write(Buffer.alloc(5000, 'late'), 0, 5000, 0);
    await handle.close();
    const blob = await readFile(
      join(tree(), `blobs/sha256/${digest.slice(7, 9)}/${digest.slice(7)}/data`),
    );
    assert.ok(blob.equals(layer.bytes));
  });

  test('whose gateway is gone leaves the bytes that came, for whoever goes on', async () => {
    const location = await begin();
    const lost = hold('PATCH', location);
    const { handle } = await openOrdered(await lost.next('write'));
    await handle.write(layer.bytes.subarray(0, 700));
    lost.outgoing.destroy();
    await handle.close();
    await waitFor('the core to let go', () => core.running() === 0);
    const { headers } = await core.send('GET', location);
    // As of a core that is gone: what it has is not counted on before somebody has taken it over.
    assert.equal(headers.range, '0-0');
    const again = await core.send('PUT', `${headers.location}&digest=${digest}`, {
      body: layer.bytes,
    });
    assert.equal(again.status, 201);
  });

  test('that somebody else wants is stopped, and its bytes count', async () => {
    const location = await begin();
    const first = hold('PATCH', location);
    const { handle } = await openOrdered(await first.next('write'));
    await handle.write(layer.bytes.subarray(0, 500));
    const status = core.send('DELETE', location);
    await first.next('stop');
    await handle.close();
    first.outgoing.end(formatReport(closed(layer.bytes.subarray(0, 500), false)));
    assert.equal((await first.answer).status, 503);
    assert.equal((await status).status, 204);
  });

  test('that cannot be written is told as the core tells it, and what is left is never taken for whole', async () => {
    for (const [report, status, message] of [
      [
        formatReport({ kind: 'failed', code: 'ENOSPC', message: 'no space' }),
        503,
        /storage is full/,
      ],
      [formatReport({ kind: 'failed', code: 'EIO', message: 'i/o error' }), 503, /storage failed/],
      // Its size is not what it says.
      [formatReport(closed(layer.bytes)), 503, /storage failed/],
      ['{"kind":"closed"', 500, /./],
      ['', 500, /./],
    ] as const) {
      const location = await begin();
      const patch = hold('PATCH', location);
      const { handle } = await openOrdered(await patch.next('write'));
      await handle.write(layer.bytes.subarray(0, 100));
      await handle.close();
      patch.outgoing.end(report);
      const answer = await patch.answer;
      assert.equal(answer.status, status, report);
      assert.match(answer.body, message);
      const upload = join(
        tree(),
        'repositories/team/app/_uploads',
        /uploads\/([^?]+)/.exec(location)?.[1] ?? '',
      );
      const names = await readdir(upload);
      assert.ok(
        names.some((one) => one.startsWith('open.')),
        `${names}`,
      );
      assert.ok(!names.some((one) => one.startsWith('data.')), `${names}`);
    }
  });

  test('is not asked for what others hold whom nobody trusts', async () => {
    await core.close();
    await folder.remove();
    await start({ trusted: false });
    const location = await begin();
    const patch = hold('PATCH', location);
    patch.outgoing.end(layer.bytes);
    assert.equal((await patch.answer).headers.range, '0-999');
    assert.deepEqual(patch.orders, []);
  });
});
