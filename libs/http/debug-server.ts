import type { Server } from 'node:http';
import Koa from 'koa';
import type { Logger } from '#libs/log/logger.ts';
import { expositionType } from '#libs/metrics/merge-expositions.ts';
import type { AggregateStatus } from './aggregate-status.ts';
import { createServer } from './node-http.ts';
import { probes, type Readiness } from './readiness.ts';
import { applyTimeouts, type ListenAddress, listen, serverOptions } from './serve.ts';

/** Milliseconds. */
const timeouts = { headers: 10_000, keepAlive: 75_000 };

export interface DebugOptions {
  address: ListenAddress;
  /** The setting that an address which cannot be had is blamed on. */
  setting: string;
  /** Where the metrics are, if any are measured. */
  metricsPath: string | undefined;
  readiness: Readiness;
  processStatus: AggregateStatus;
  log: Logger;
}

/**
 * `http.debug`: health, probes and metrics, without credentials, on an address of its own.
 * @throws Error with one clear sentence if the address cannot be had
 */
export async function serveDebug({
  address,
  setting,
  metricsPath,
  readiness,
  processStatus,
  log,
}: DebugOptions): Promise<{ server: Server; port: number }> {
  const app = new Koa();
  app.silent = true;
  app.on('error', (error: unknown) => log.error({ err: error }, 'the debug server failed'));
  app.use(probes(readiness));
  app.use(async (ctx) => {
    if (ctx.method !== 'GET' && ctx.method !== 'HEAD') return;
    if (ctx.path === '/debug/health') {
      const failing = await processStatus.failing();
      ctx.status = Object.keys(failing).length === 0 ? 200 : 503;
      ctx.set('Cache-Control', 'no-store');
      ctx.body = failing;
    } else if (ctx.path === metricsPath && processStatus.expose !== undefined) {
      ctx.body = await processStatus.expose();
      ctx.set('Content-Type', expositionType);
    }
  });
  const handle = app.callback();
  const server = createServer(serverOptions, (request, response) => {
    void handle(request, response);
  });
  applyTimeouts(server, timeouts);
  return { server, port: await listen(server, address, { setting }) };
}
