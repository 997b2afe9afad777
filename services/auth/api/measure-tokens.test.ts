import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { test } from 'node:test';
import { createApp } from '#libs/http/app.ts';
import { trustAnyPeer } from '#libs/http/peer-check.ts';
import { createReadiness } from '#libs/http/readiness.ts';
import { listen } from '#libs/http/serve.ts';
import { createMetrics } from '#libs/metrics/metrics.ts';
import { type ErrorCode, RegistryError } from '#libs/oci/errors.ts';
import { parseExposition } from '../../../test/support/exposition.ts';
import { createRecordingLog } from '../../../test/support/recording-log.ts';
import { measureTokens } from './measure-tokens.ts';

test('token requests are counted by how they end', async () => {
  const { log } = createRecordingLog();
  const metrics = createMetrics({ process: 'auth', version: 'test' });
  const app = createApp({ log, readiness: createReadiness(), checkPeer: trustAnyPeer });
  app.use(measureTokens(metrics));
  app.use(async (ctx) => {
    if (ctx.path === '/ok') ctx.body = {};
    else if (ctx.path === '/oauth') ctx.status = 400;
    else if (ctx.path === '/broken') throw new Error('broken');
    else throw new RegistryError(ctx.path.slice(1) as ErrorCode);
  });
  const handle = app.callback();
  const server = createServer((request, response) => void handle(request, response));
  const port = await listen(server, { host: '127.0.0.1', port: 0 });
  try {
    const codes = ['UNAUTHORIZED', 'TOOMANYREQUESTS', 'REQUEST_INVALID', 'UNAVAILABLE'];
    for (const path of ['ok', 'ok', 'oauth', 'broken', ...codes]) {
      await (await fetch(`http://127.0.0.1:${port}/${path}`)).text();
    }
    const scraped = parseExposition(await metrics.expose());
    const times = (outcome: string) =>
      scraped.value('portcullis_token_request_duration_seconds_count', { outcome });
    assert.deepEqual(
      ['issued', 'refused', 'throttled', 'rejected', 'failed'].map(times),
      [2, 1, 1, 2, 2],
    );
  } finally {
    server.closeAllConnections();
    server.close();
  }
});
