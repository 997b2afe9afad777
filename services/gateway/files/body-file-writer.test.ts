import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import type { FileHandle } from 'node:fs/promises';
import { open, readFile } from 'node:fs/promises';
import { IncomingMessage } from 'node:http';
import { Socket } from 'node:net';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { PieceBuffers } from '#libs/bodies/piece-buffers.ts';
import { digestOf } from '#libs/oci/digest.ts';
import {
  createTemporaryFolder,
  type TemporaryFolder,
} from '../../../test/support/temporary-folder.ts';
import { waitFor } from '../../../test/support/wait-for.ts';
import { BodyFileWriter } from './body-file-writer.ts';

const KiB = 1024;
const sizes = {
  first: { size: 64 * KiB, total: 0 },
  most: 64 * KiB,
  least: 16 * KiB,
  total: 4096 * KiB,
  kept: 256 * KiB,
};

/** The side of a request that a writer reads; `complete` as Node sets it when the parser has seen the end. */
class Body extends PassThrough {
  complete = false;
  aborted = false;
  headers = {};

  finish(): void {
    this.complete = true;
    this.end();
  }

  get asRequest(): IncomingMessage {
    return this as unknown as IncomingMessage;
  }
}

describe('a body that is written to a file', () => {
  let folder: TemporaryFolder;
  let path: string;
  let handle: FileHandle;
  let body: Body;
  let buffers: PieceBuffers;

  beforeEach(async () => {
    folder = await createTemporaryFolder();
    path = join(folder.path, 'file');
    handle = await open(path, 'wx');
    body = new Body();
    buffers = new PieceBuffers(sizes);
  });
  afterEach(async () => {
    await handle.close().catch(() => {});
    await folder.remove();
  });

  const start = () => new BodyFileWriter(body.asRequest, handle, { algorithm: 'sha256', buffers });
  const isClosed = () => handle.fd === -1;

  /** Holds writes up until they are let on. */
  function gateWrites() {
    const waiting: (() => void)[] = [];
    const write = handle.write.bind(handle) as (...args: unknown[]) => Promise<unknown>;
    (handle as { write: unknown }).write = async (...args: unknown[]) => {
      await new Promise<void>((resolve) => waiting.push(resolve));
      return await write(...args);
    };
    return waiting;
  }

  test('is all there in pieces that are freed, larger than a buffer', async () => {
    const message = new IncomingMessage(new Socket());
    const pieces = [10 * KiB, 300 * KiB, 64 * KiB, 17].map((length) =>
      Buffer.allocUnsafeSlow(length).fill(randomBytes(length)),
    );
    const expected = Buffer.concat(pieces);
    const writer = new BodyFileWriter(message, handle, { algorithm: 'sha256', buffers });
    const running = writer.run();
    for (const piece of pieces) message.push(piece);
    message.complete = true;
    message.push(null);
    const report = await running;
    assert.equal(report.kind === 'closed' && report.digest, digestOf(expected, 'sha256'));
    assert.ok((await readFile(path)).equals(expected));
    assert.deepEqual(new Set(pieces.map(({ length }) => length)), new Set([0]));
  });

  test('is all there, however it came, with its digest', async () => {
    const bytes = randomBytes(700 * KiB + 13);
    const running = start().run();
    const lengths = [1, 16 * KiB, 200 * KiB, 7, 64 * KiB];
    for (let from = 0, index = 0; from < bytes.length; index += 1) {
      const length = lengths[index % lengths.length] ?? 1;
      if (!body.write(bytes.subarray(from, from + length))) await nextTurn();
      from += length;
    }
    body.finish();
    assert.deepEqual(await running, {
      ...{ kind: 'closed', size: bytes.length, digest: digestOf(bytes), isWhole: true },
    });
    assert.ok((await readFile(path)).equals(bytes));
    assert.ok(isClosed());
    assert.equal(buffers.used, 0);
  });

  test('may be empty', async () => {
    const running = start().run();
    body.finish();
    const digest = digestOf(Buffer.alloc(0));
    assert.deepEqual(await running, { kind: 'closed', size: 0, digest, isWhole: true });
  });

  test('is read no faster than it is written', async () => {
    const writes = gateWrites();
    const writer = start();
    const running = writer.run();
    const bytes = randomBytes(600 * KiB);
    body.write(bytes.subarray(0, 300 * KiB));
    await waitFor('the body to be held up', () => writer.isBehind && body.isPaused());
    // One is written, one is full.
    assert.equal(buffers.used, 2 * sizes.most);
    const letOn = setInterval(() => writes.shift()?.(), 1);
    body.write(bytes.subarray(300 * KiB));
    body.finish();
    const report = await running;
    clearInterval(letOn);
    assert.equal(report.kind === 'closed' && report.digest, digestOf(bytes));
    assert.ok((await readFile(path)).equals(bytes));
  });

  test('that breaks off is told as far as it came', async () => {
    const running = start().run();
    body.write(Buffer.alloc(100 * KiB, 'a'));
    await waitFor('some to be taken', () => buffers.used > 0);
    body.destroy();
    const report = await running;
    assert.ok(report.kind === 'closed');
    assert.deepEqual([report.isWhole, report.size], [false, 100 * KiB]);
    assert.equal((await readFile(path)).length, report.size);
    assert.equal(buffers.used, 0);
  });

  test('is told as far as it came where it is stopped, also before it began', async () => {
    const writer = start();
    const running = writer.run();
    body.write(Buffer.alloc(10 * KiB, 'a'));
    await waitFor('it to be taken', () => buffers.used > 0);
    writer.stop();
    body.write(Buffer.alloc(10 * KiB, 'b'));
    const report = await running;
    assert.ok(report.kind === 'closed' && !report.isWhole && report.size === 10 * KiB);
    const early = new Body();
    await using other = await open(join(folder.path, 'other'), 'wx');
    const stopped = new BodyFileWriter(early.asRequest, other, { algorithm: 'sha512', buffers });
    stopped.stop();
    const empty = await stopped.run();
    assert.ok(empty.kind === 'closed' && !empty.isWhole && empty.size === 0);
  });

  test('that cannot be written is told by the code, and the file is closed', async () => {
    let count = 0;
    const write = handle.write.bind(handle) as (...args: unknown[]) => Promise<unknown>;
    (handle as { write: unknown }).write = async (...args: unknown[]) => {
      count += 1;
      if (count < 3) return await write(...args);
      throw Object.assign(new Error('no space left'), { code: 'ENOSPC' });
    };
    const running = start().run();
    body.write(Buffer.alloc(400 * KiB));
    assert.deepEqual(await running, { kind: 'failed', code: 'ENOSPC', message: 'no space left' });
    assert.ok(isClosed());
    assert.equal(buffers.used, 0);
  });

  test('that cannot be synced is not told as if it were', async () => {
    (handle as { datasync: unknown }).datasync = async () => {
      throw Object.assign(new Error('i/o error'), { code: 'EIO' });
    };
    const running = start().run();
    body.write(Buffer.alloc(10));
    body.finish();
    assert.deepEqual(await running, { kind: 'failed', code: 'EIO', message: 'i/o error' });
    assert.ok(isClosed());
  });

  test('that nobody wants any more is let go, and the file closed when no write is under way', async () => {
    const writes = gateWrites();
    const writer = start();
    const running = writer.run();
    body.write(Buffer.alloc(100 * KiB));
    await waitFor('a write', () => writes.length === 1);
    writer.abandon();
    assert.equal((await running).kind, 'failed');
    assert.equal(isClosed(), false);
    writes.shift()?.();
    await waitFor('the file to be closed', isClosed);
    assert.equal(buffers.used, 0);
    assert.equal((await readFile(path)).length, 64 * KiB);
  });

  test('of a slow client is written after a second, and takes no buffer meanwhile', async () => {
    const running = start().run();
    body.write(Buffer.alloc(100));
    await waitFor('it to be written', async () => (await readFile(path)).length === 100);
    await waitFor('buffers to be given back', () => buffers.used === 0);
    body.write(Buffer.alloc(50));
    body.finish();
    const report = await running;
    assert.ok(report.kind === 'closed' && report.size === 150);
  });
});
