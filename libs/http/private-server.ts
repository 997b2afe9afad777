import { createServer, type Server } from 'node:http';
import { dirname } from 'node:path';
import type Koa from 'koa';
import { ensurePrivateFolder } from '#libs/process/private-folder.ts';
import { applyTimeouts, listen, serverOptions } from './serve.ts';

/** Longer than our agents keep a connection (60 s), so that no request meets a closing one. */
const keepAlive = 75_000;

/**
 * Serves an application to our own processes: on a Unix socket in a folder that only our user can
 * enter.
 * @param headersTimeout milliseconds for a request's headers
 */
export async function servePrivately<State>(
  app: Koa<State>,
  socket: string,
  headersTimeout: number,
): Promise<Server> {
  await ensurePrivateFolder(dirname(socket));
  const handle = app.callback();
  const server = createServer(serverOptions, (request, response) => {
    void handle(request, response);
  });
  applyTimeouts(server, { headers: headersTimeout, keepAlive });
  await listen(server, { socket });
  return server;
}
