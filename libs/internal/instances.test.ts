import assert from 'node:assert/strict';
import { createServer, type RequestListener } from 'node:http';
import { test } from 'node:test';
import { listen } from '#libs/http/serve.ts';
import { createRecordingLog } from '../../test/support/recording-log.ts';
import { waitFor } from '../../test/support/wait-for.ts';
import { followInstances } from './instances.ts';

/** Milliseconds; a second where it counts. */
const checkEvery = 50;

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
  const instances = await followInstances({ addresses, kind: 'core', log, checkEvery });
  try {
    const [only] = instances.all();
    assert.ok(only !== undefined);
    await new Promise((resolve) => setTimeout(resolve, 4 * checkEvery));
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

test('one that is slow is asked once at a time, and nobody is told to leave it while it answers', async () => {
  let asking = 0;
  let most = 0;
  let answered = 0;
  const server = createServer((_, response) => {
    asking += 1;
    most = Math.max(most, asking);
    setTimeout(() => {
      asking -= 1;
      answered += 1;
      response.end();
    }, 1.5 * checkEvery);
  });
  const port = await listen(server, { host: '127.0.0.1', port: 0 });
  const tcp = { kind: 'tcp', host: '127.0.0.1', tls: false } as const;
  const addresses = [
    { ...tcp, port },
    // Nobody listens there.
    { ...tcp, port: 1 },
  ];
  const { log } = createRecordingLog();
  const instances = await followInstances({ addresses, kind: 'core', log, checkEvery });
  try {
    const slow = instances.all().find(({ name }) => !name.endsWith(':1'));
    await waitFor('some answers', () => answered >= 4);
    assert.equal(most, 1);
    assert.deepEqual([slow?.ready, slow?.down.signal.aborted], [true, false]);
  } finally {
    instances.close();
    server.closeAllConnections();
    server.close();
  }
});

test('one that takes no more connections gets no requests, and is left those that it has', async () => {
  const server = createServer((_, response) => void response.end());
  const port = await listen(server, { host: '127.0.0.1', port: 0 });
  const { log, messages } = createRecordingLog();
  const tcp = { kind: 'tcp', host: '127.0.0.1', tls: false } as const;
  const addresses = [
    { ...tcp, port },
    // Nobody listens there.
    { ...tcp, port: 1 },
  ];
  const instances = await followInstances({ addresses, kind: 'core', log, checkEvery });
  try {
    const stopping = instances.all().find(({ name }) => name.endsWith(':1'));
    assert.ok(stopping !== undefined);
    stopping.inFlight = 1;
    await waitFor('it to get no requests', () => !stopping.ready);
    assert.ok(messages().some((message) => message.includes('gets no requests for now')));
    // As many checks as one that answers nothing has.
    await new Promise((resolve) => setTimeout(resolve, 9 * checkEvery));
    assert.equal(stopping.down.signal.aborted, false);
  } finally {
    instances.close();
    server.closeAllConnections();
    server.close();
  }
});
