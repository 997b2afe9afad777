import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { afterEach, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Gateway, startGateway } from '../../test/support/gateway.ts';
import { answer } from '../../test/support/scripted-peer.ts';

/** Sends a request on a connection of its own and leaves, by another process: this one stands still meanwhile. */
function askAndLeave(port: number, method: string, how: 'destroy' | 'resetAndDestroy'): void {
  const request = `${method} /v2/a/manifests/latest HTTP/1.1\\r\\nHost: x\\r\\nContent-Length: 0\\r\\n\\r\\n`;
  const script = `const s = require('net').connect(${port}, '127.0.0.1', () => s.write('${request}', () => s.${how}()));`;
  execFileSync(process.execPath, ['-e', script]);
}

describe('a gateway that is held up before it reads a request', () => {
  let gateway: Gateway;

  afterEach(async () => {
    await gateway.close();
  });

  for (const how of ['destroy', 'resetAndDestroy'] as const) {
    test(`forwards no change whose client left meanwhile by ${how}`, async () => {
      gateway = await startGateway();
      gateway.core.otherwise(answer(202));
      for (let count = 0; count < 10; count += 1) {
        askAndLeave(gateway.port, count % 2 === 0 ? 'DELETE' : 'PUT', how);
        await sleep(20);
      }
      assert.equal(gateway.core.requests.length, 0);
      assert.equal((await gateway.send('DELETE', '/v2/a/manifests/latest')).status, 202);
    });
  }
});
