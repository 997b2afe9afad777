import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdir, readdir, readFile, readlink, stat, writeFile } from 'node:fs/promises';
import { type ClientRequest, type IncomingMessage, request, type ServerResponse } from 'node:http';
import { connect } from 'node:net';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, test } from 'node:test';
import {
  type BodyOrder,
  delegation,
  formatOrder,
  orderStatus,
  parseReport,
} from '#libs/http/held-body.ts';
import { digestOf } from '#libs/oci/digest.ts';
import { type Gateway, startGateway } from '../../test/support/gateway.ts';
import { type Act, answer } from '../../test/support/scripted-peer.ts';
import {
  createTemporaryFolder,
  type TemporaryFolder,
} from '../../test/support/temporary-folder.ts';
import { waitFor } from '../../test/support/wait-for.ts';

const id = '3f2b8c1e-0a52-4c0e-9c39-5c1f1a6b7d20';
const upload = `/v2/team/app/blobs/uploads/${id}?offset=0`;
const path = `repositories/team/app/_uploads/${id}/open.1`;
const bytes = randomBytes(300_000);

describe('a body that the gateway holds', () => {
  let folder: TemporaryFolder;
  let file: string;
  let gateway: Gateway;

  beforeEach(async () => {
    folder = await createTemporaryFolder();
    file = join(folder.path, path);
    await mkdir(dirname(file), { recursive: true });
    await writeFile(file, '');
    gateway = await startGateway({ tree: folder.path });
    gateway.core.knowDelegation();
  });
  afterEach(async () => {
    await gateway.close();
    await folder.remove();
  });

  const patch = (body: Buffer = bytes) => gateway.send('PATCH', upload, { body });
  const order = (response: ServerResponse, what: BodyOrder) =>
    (
      response as unknown as { writeInformation(status: number, headers: object): void }
    ).writeInformation(orderStatus, { 'x-portcullis-order': formatOrder(what) });
  const write = async (
    response: ServerResponse,
    over: { identity?: string; path?: string } = {},
  ) => {
    const { dev, ino } = await stat(file, { bigint: true });
    const named = { path, identity: `${dev}:${ino}`, algorithm: 'sha256' as const, ...over };
    order(response, { kind: 'write', file: named });
  };
  /** Has the body written, and answers by the report. */
  const accept: Act = async (seen, { response }) => {
    assert.equal(seen.headers.expect, delegation);
    await write(response);
    const report = parseReport((await seen.whole).toString());
    response.setHeader('X-Report', JSON.stringify(report));
    response.writeHead(202).end();
  };

  test('is written where the core says, and reported', async () => {
    gateway.core.next(accept);
    const { status, headers } = await patch();
    assert.equal(status, 202);
    assert.deepEqual(JSON.parse(String(headers['x-report'])), {
      ...{ kind: 'closed', size: bytes.length, digest: digestOf(bytes), isWhole: true },
    });
    assert.ok((await readFile(file)).equals(bytes));
    assert.equal(gateway.core.requests[0]?.headers['x-portcullis-body-length'], `${bytes.length}`);
  });

  test('is sent where the core wants it, or answers what it wants of it not at all', async () => {
    gateway.core.next(async (seen, { response }) => {
      order(response, { kind: 'send' });
      assert.ok((await seen.whole).equals(bytes));
      response.writeHead(202).end();
    });
    assert.equal((await patch()).status, 202);
    assert.equal((await readFile(file)).length, 0);
    // Refused by the head alone, it is neither.
    gateway.core.next((_, { response }) => void response.writeHead(404).end());
    assert.equal((await patch()).status, 404);
  });

  test('is sent to a core of an earlier version, which is not asked again for a while', async () => {
    await gateway.close();
    gateway = await startGateway({ tree: folder.path });
    gateway.core.otherwise(answer(202));
    for (let time = 0; time < 2; time += 1) assert.equal((await patch()).status, 202);
    assert.deepEqual(
      gateway.core.requests.map(({ headers }) => headers.expect),
      [undefined, undefined],
    );
    assert.equal(gateway.core.refusedExpectations(), 1);
    assert.ok((await gateway.core.requests[1]?.whole)?.equals(bytes));
  });

  test('is sent where the file is not the one that is named, or not ours to write', async () => {
    for (const [what, over] of [
      ['another inode', { identity: '1:1' }],
      ['absent', { path: path.replace('open.1', 'open.2') }],
    ] as const) {
      gateway.core.next(async (_, { response }) => await write(response, over), answer(202));
      assert.equal((await patch()).status, 202, what);
      assert.ok((await gateway.core.requests.at(-1)?.whole)?.equals(bytes), what);
    }
    assert.equal((await readFile(file)).length, 0);
    await writeFile(file, 'has something');
    gateway.core.next(async (_, { response }) => await write(response), answer(202));
    assert.equal((await patch()).status, 202);
    assert.equal(await readFile(file, 'utf8'), 'has something');
  });

  test('is stopped when the core says so, also before its file is open', async () => {
    gateway.core.next(async (seen, { response }) => {
      await write(response);
      order(response, { kind: 'stop' });
      const report = parseReport((await seen.whole).toString());
      assert.ok(report?.kind === 'closed' && !report.isWhole);
      response.writeHead(503).end();
    });
    // Of a client that has sent all there may be no more to stop.
    const client = begin(2 * bytes.length);
    client.write(bytes);
    assert.equal(await statusOf(client), 503);
    client.destroy();
  });

  /** A request whose body is as long as is said, and is sent by the test. */
  function begin(length: number) {
    const client = request({ port: gateway.port, method: 'PATCH', path: upload, agent: false });
    client.on('error', () => {});
    client.setHeader('Content-Length', length);
    return client;
  }
  const statusOf = async (client: ClientRequest) => {
    const [answer] = (await once(client, 'response')) as [IncomingMessage];
    answer.resume();
    return answer.statusCode;
  };
  const sizeOf = async () => (await stat(file)).size;

  test('is not written any more for a core that has answered already', async () => {
    const isEnding = Promise.withResolvers<void>();
    gateway.core.next(async (_, { response }) => {
      await write(response);
      await isEnding.promise;
      response.writeHead(404).end();
    });
    const client = connect({ port: gateway.port });
    client.on('error', () => {});
    client.write(`PATCH ${upload} HTTP/1.1\r\nHost: a\r\nContent-Length: 9000000\r\n\r\n`);
    client.write(bytes);
    const isOpen = async () => {
      const names = await readdir('/proc/self/fd');
      const open = await Promise.all(
        names.map((name) => readlink(`/proc/self/fd/${name}`).catch(() => '')),
      );
      return open.includes(file);
    };
    await waitFor('it to be written', isOpen);
    isEnding.resolve();
    assert.match(String(await once(client, 'data')), /^HTTP\/1.1 404/);
    await waitFor('the file to be closed', async () => !(await isOpen()));
    // It did not take the end of the client's connection.
    assert.equal(client.readyState, 'open');
    client.destroy();
  });

  test('of a client that leaves at any moment is reported, or its request ended; nothing stays', async () => {
    for (const moment of ['before the order', 'with the order', 'in the middle'] as const) {
      let reported: string | undefined;
      const begun = Promise.withResolvers<void>();
      const left = Promise.withResolvers<void>();
      gateway.core.next(async (seen, { response }) => {
        if (moment !== 'before the order') await write(response);
        begun.resolve();
        // Behind bytes that nobody takes the end of a connection is not seen.
        if (moment === 'before the order') await left.promise.then(() => write(response));
        reported = (await seen.whole.catch(() => Buffer.from('broken'))).toString();
        response.writeHead(400).end();
      });
      const client = begin(1_000_000);
      client.write(bytes);
      await begun.promise;
      if (moment === 'in the middle') {
        await waitFor('some to be written', async () => (await sizeOf()) > 0);
      }
      client.destroy();
      left.resolve();
      await waitFor(`it to end: ${moment}`, () => reported !== undefined);
      if (reported !== 'broken') {
        const report = parseReport(reported ?? '');
        assert.ok(report?.kind === 'closed' && !report.isWhole, moment);
      }
      await waitFor('its share to be given back', () => gateway.budgets.requests.used === 0);
      await writeFile(file, '');
    }
  });

  test('of a core that ends in the middle is given up', async () => {
    gateway.core.next(async (_, { request, response }) => {
      await write(response);
      await once(request, 'readable').catch(() => {});
    });
    const sent = patch();
    await gateway.core.request(0);
    await gateway.core.stop();
    assert.equal((await sent).status, 503);
    await waitFor('its share to be given back', () => gateway.budgets.requests.used === 0);
  });
});
