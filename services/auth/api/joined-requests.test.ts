import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { createApp } from '#libs/http/app.ts';
import { internalHeaders } from '#libs/http/internal-headers.ts';
import { trustAnyPeer, trustNoPeer } from '#libs/http/peer-check.ts';
import { createReadiness } from '#libs/http/readiness.ts';
import { createRecordingLog } from '../../../test/support/recording-log.ts';
import { requestIdsOf } from './joined-requests.ts';

test('ids of several requests are those that a process of ours gives, and 64 at most', async () => {
  for (const checkPeer of [trustAnyPeer, trustNoPeer]) {
    const { log } = createRecordingLog();
    const app = createApp({ log, readiness: createReadiness(), checkPeer });
    app.use((ctx) => {
      ctx.body = { ids: requestIdsOf(ctx), own: ctx.state.requestId };
    });
    const handle = app.callback();
    const server = createServer((request, response) => void handle(request, response));
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
    const seen = async (others: string) => {
      const { requestId, joined } = internalHeaders;
      const answer = await fetch(url, { headers: { [requestId]: 'a', [joined]: others } });
      return (await answer.json()) as { ids: string[]; own: string };
    };
    try {
      const { ids, own } = await seen('b,c');
      if (checkPeer === trustAnyPeer) {
        assert.deepEqual([ids, own], [['a', 'b', 'c'], 'a']);
        assert.equal((await seen('x,'.repeat(500))).ids.length, 64);
      } else {
        assert.deepEqual(ids, [own]);
        assert.match(own, /^[0-9a-f-]{36}$/);
      }
    } finally {
      server.closeAllConnections();
      server.close();
    }
  }
});
