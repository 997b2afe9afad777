import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { createCertificate } from '../../../test/support/certificate.ts';
import { type Gateway, startGateway } from '../../../test/support/gateway.ts';
import { flags, frameTypes, headerBlock, rawHttp2 } from '../../../test/support/raw-http2.ts';
import { createTokenServer } from '../../../test/support/tokens.ts';

/** SETTINGS_INITIAL_WINDOW_SIZE: 0, so that no byte of a body may be sent. */
const noWindow = Buffer.from([0, 4, 0, 0, 0, 0]);
const streams = Array.from({ length: 50 }, (_, index) => 2 * index + 1);

describe('refusals that a client of HTTP/2 does not take', () => {
  let gateway: Gateway;

  before(async () => {
    const { verifier } = await createTokenServer();
    const tls = await createCertificate();
    gateway = await startGateway({ verifier, server: { tls, http2: true } });
  });

  after(async () => {
    await gateway?.close();
  });

  test('cost nothing while they wait, and end the stream when they are taken', async () => {
    const client = await rawHttp2(gateway.port);
    client.send(frameTypes.settings, 0, 0, noWindow);
    const block = headerBlock([
      [':method', 'POST'],
      [':scheme', 'https'],
      [':authority', 'localhost'],
      [':path', '/v2/a/blobs/uploads/'],
    ]);
    for (const id of streams) client.send(frameTypes.headers, flags.endHeaders, id, block);
    await client.until(({ type, stream }) => type === frameTypes.headers && stream === 99);

    const plain = globalThis.setTimeout;
    let timers = 0;
    globalThis.setTimeout = ((...args: Parameters<typeof plain>) => {
      timers += 1;
      return plain(...args);
    }) as typeof plain;
    await new Promise((resolve) => plain(resolve, 200));
    globalThis.setTimeout = plain;
    assert.equal(timers, 0, 'timers that were set while nothing happened');

    client.onPing((payload) => client.send(frameTypes.ping, flags.ack, 0, payload));
    const grown = Buffer.alloc(4);
    grown.writeUInt32BE(65_535);
    for (const id of streams) client.send(frameTypes.windowUpdate, 0, id, grown);
    for (const id of streams) {
      const reset = await client.until(
        ({ type, stream }) => type === frameTypes.rstStream && stream === id,
      );
      assert.equal(reset?.payload.readUInt32BE(0), 0, 'NO_ERROR');
      const ended = client
        .frames()
        .some(
          ({ type, stream, flags: bits }) =>
            type === frameTypes.data && stream === id && (bits & flags.endStream) !== 0,
        );
      assert.ok(ended, 'the answer is whole');
    }
    client.socket.destroy();
  });
});
