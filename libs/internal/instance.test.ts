import assert from 'node:assert/strict';
import { Agent, createServer } from 'node:http';
import { test } from 'node:test';
import { listen } from '#libs/http/serve.ts';
import { createInstance, type Target } from './instance.ts';

/** Asks more often than one that is silent has, and waits for each answer. */
async function check(target: Partial<Target['target']>) {
  const { promise, resolve } = Promise.withResolvers<void>();
  const found: string[] = [];
  const agent = new Agent();
  const instance = createInstance(
    'core',
    { target: { protocol: 'http:', host: '127.0.0.1', ...target }, agent },
    (_, ready, why) => {
      found.push(`${ready} ${why}`);
      if (found.length === 6) resolve();
      else setImmediate(() => instance.check(2));
    },
  );
  instance.check(2);
  await promise;
  agent.destroy();
  return { found: found[0], isDown: instance.down.signal.aborted };
}

test('who waits for an instance goes on where it is we who cannot ask it', async () => {
  const server = createServer((_, response) => response.end());
  const port = await listen(server, { host: '127.0.0.1', port: 0 });
  try {
    const { found, isDown } = await check({ port, localAddress: '192.0.2.1' });
    assert.match(found ?? '', /^false .*EADDRNOTAVAIL/);
    assert.equal(isDown, false);
  } finally {
    server.close();
  }
});

test('one that hangs up says something, be it that it ends', async () => {
  const server = createServer().on('connection', (socket) => socket.resetAndDestroy());
  const port = await listen(server, { host: '127.0.0.1', port: 0 });
  try {
    assert.equal((await check({ port })).isDown, false);
  } finally {
    server.close();
  }
});
