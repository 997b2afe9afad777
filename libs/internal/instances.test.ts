import assert from 'node:assert/strict';
import { createServer, type RequestListener } from 'node:http';
import { test } from 'node:test';
import { listen } from '#libs/http/serve.ts';
import { createRecordingLog } from '../../test/support/recording-log.ts';
import { waitFor } from '../../test/support/wait-for.ts';
import { followInstances } from './instances.ts';

test('whoever waits for a single one that answers nothing any more is told, and it is tried again', async () => {
  let asked = 0;
  let act: RequestListener = () => {};
  const server = createServer((request, response) => {
    asked += 1;
    act(request, response);
  });
  const port = await listen(server, { host: '127.0.0.1', port: 0 });
  const { log } = createRecordingLog();
  const addresses = [{ kind: 'tcp', host: '127.0.0.1', port, tls: false }] as const;
  const instances = await followInstances({ addresses, kind: 'core', log });
  try {
    const [only] = instances.all();
    assert.ok(only !== undefined);
    await new Promise((resolve) => setTimeout(resolve, 1500));
    assert.equal(asked, 0, 'it is not asked while nobody waits');
    only.inFlight = 1;
    await waitFor('it to be down', () => only.down.signal.aborted);
    assert.ok(only.ready, 'there is no other to choose');
    only.inFlight = 0;
    act = (_, response) => void response.writeHead(503).end();
    await waitFor('it to be tried again', () => !only.down.signal.aborted);
  } finally {
    instances.close();
    server.closeAllConnections();
    server.close();
  }
});
