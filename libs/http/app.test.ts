import assert from 'node:assert/strict';
import { Agent, createServer } from 'node:http';
import { test } from 'node:test';
import { createLogger } from '#libs/log/logger.ts';
import { exchange } from '../../test/support/exchange.ts';
import { waitFor } from '../../test/support/wait-for.ts';
import { createApp } from './app.ts';
import { trustAnyPeer } from './peer-check.ts';
import { createReadiness } from './readiness.ts';
import { listen } from './serve.ts';

test('an access line has a bound, whatever a client sends', async () => {
  const lines: string[] = [];
  const log = createLogger(
    { level: 'info', format: 'text', fields: {}, process: 'test' },
    { write: (line) => void lines.push(line) },
  );
  const app = createApp({
    log,
    checkPeer: trustAnyPeer,
    accessLog: 'info',
    readiness: createReadiness(),
  });
  const handle = app.callback();
  const server = createServer((request, response) => void handle(request, response));
  const port = await listen(server, { host: '127.0.0.1', port: 0 });
  const agent = new Agent();
  try {
    for (const [path, userAgent] of [
      [`/${'p'.repeat(7000)}`, 'x'],
      ['/', 'u'.repeat(7000)],
      ['/', '"'.repeat(7000)],
      ['/', '\u0085'.repeat(7000)],
    ] as const) {
      lines.length = 0;
      const headers = { 'User-Agent': userAgent };
      await exchange({ agent, port, method: 'GET', path }, { headers });
      await waitFor('its line', () => lines.length === 1);
      assert.ok((lines[0] ?? '').length < 2500, `${lines[0]?.length} characters`);
    }
    lines.length = 0;
    const path = `/v2/${'a'.repeat(255)}/manifests/${'t'.repeat(128)}`;
    const headers = { 'User-Agent': 'docker/28.2.2 go/go1.24' };
    await exchange({ agent, port, method: 'GET', path }, { headers });
    await waitFor('its line', () => lines.length === 1);
    assert.match(
      lines[0] ?? '',
      new RegExp(`path=${path} .*userAgent="docker/28\\.2\\.2 go/go1\\.24"`),
    );
  } finally {
    agent.destroy();
    server.close();
  }
});
