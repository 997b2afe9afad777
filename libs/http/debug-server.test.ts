import assert from 'node:assert/strict';
import { createServer, type Server } from 'node:http';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, test } from 'node:test';
import Koa from 'koa';
import { createMetrics } from '#libs/metrics/metrics.ts';
import { parseExposition } from '../../test/support/exposition.ts';
import { createRecordingLog } from '../../test/support/recording-log.ts';
import {
  createTemporaryFolder,
  type TemporaryFolder,
} from '../../test/support/temporary-folder.ts';
import { aggregateStatus } from './aggregate-status.ts';
import { serveDebug } from './debug-server.ts';
import { trustAnyPeer } from './peer-check.ts';
import { createProcessStatus, type ProcessStatus, serveProcessStatus } from './process-status.ts';
import { createReadiness, type Readiness } from './readiness.ts';
import { listen } from './serve.ts';

const metricsPath = '/figures';

describe('the debug server', () => {
  let folder: TemporaryFolder;
  let servers: Server[];
  let readiness: Readiness;
  let own: ProcessStatus;

  beforeEach(async () => {
    folder = await createTemporaryFolder();
    servers = [];
    readiness = createReadiness();
    own = createProcessStatus(createMetrics({ process: 'gateway', version: 'test' }));
  });

  afterEach(async () => {
    for (const server of servers) {
      server.closeAllConnections();
      server.close();
    }
    await folder.remove();
  });

  /** Another process, on a socket. */
  async function servePeer(name: string, processStatus: ProcessStatus) {
    const app = new Koa();
    app.use(serveProcessStatus(processStatus, trustAnyPeer));
    const handle = app.callback();
    const server = createServer((request, response) => void handle(request, response));
    servers.push(server);
    const socketPath = join(folder.path, `${name}.sock`);
    await listen(server, { socket: socketPath });
    return { process: name, socketPath };
  }

  async function serve(peers: { process: string; socketPath: string }[] = [], processStatus = own) {
    const { log } = createRecordingLog();
    const { server, port } = await serveDebug({
      address: { host: '127.0.0.1', port: 0 },
      setting: 'http.debug.addr',
      metricsPath,
      readiness,
      processStatus: aggregateStatus({ process: 'gateway', processStatus }, peers),
      log,
    });
    servers.push(server);
    return async (path: string, method = 'GET') => {
      const answer = await fetch(`http://127.0.0.1:${port}${path}`, { method });
      return { status: answer.status, text: await answer.text() };
    };
  }

  test('tells failing checks, its own and those of its peers', async () => {
    const core = createProcessStatus(undefined);
    const ask = await serve([await servePeer('core', core)]);
    assert.deepEqual(await ask('/debug/health'), { status: 200, text: '{}' });
    let trouble: Record<string, string> = { a: 'first' };
    core.addChecks(() => trouble);
    own.addChecks(() => ({ b: 'second' }));
    const { status, text } = await ask('/debug/health');
    assert.equal(status, 503);
    assert.deepEqual(JSON.parse(text), { a: 'first', b: 'second' });
    trouble = {};
    assert.deepEqual(JSON.parse((await ask('/debug/health')).text), { b: 'second' });
    assert.deepEqual(await ask('/debug/health', 'HEAD'), { status: 503, text: '' });
    assert.equal((await ask('/debug/health', 'POST')).status, 404);
  });

  test('tells the metrics of all, and which process is missing', async () => {
    const core = createProcessStatus(createMetrics({ process: 'core', version: 'test' }));
    const silent = { process: 'auth', socketPath: join(folder.path, 'nobody.sock') };
    const ask = await serve([await servePeer('core', core), silent]);
    const { status, text } = await ask(metricsPath);
    assert.equal(status, 200);
    const scraped = parseExposition(text);
    const up = (process: string) => scraped.value('portcullis_process_up', { process });
    assert.deepEqual(['gateway', 'core', 'auth'].map(up), [1, 1, 0]);
    assert.equal(scraped.sum('portcullis_build_info'), 2);
    assert.deepEqual(JSON.parse((await ask('/debug/health')).text), {
      auth: 'auth does not answer',
    });
  });

  test('has no metrics where nothing is measured', async () => {
    const ask = await serve([], createProcessStatus(undefined));
    assert.equal((await ask(metricsPath)).status, 404);
    assert.equal((await ask('/debug/health')).status, 200);
  });

  test('answers the probes of its process', async () => {
    const ask = await serve();
    readiness.startDraining();
    assert.deepEqual(await ask('/readyz'), { status: 503, text: '{"status":"stopping"}' });
    assert.equal((await ask('/healthz')).status, 200);
  });
});
