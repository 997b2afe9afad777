import type * as http from 'node:http';

/**
 * What we use of Node's `http`. An `import` of that module evaluates all that it exports, and its `WebSocket` loads undici:
 * 16 MiB for each process, which never opens one. Importing types costs nothing.
 */
export const { Agent, createServer, IncomingMessage, request, ServerResponse } =
  process.getBuiltinModule('node:http');

export type Agent = http.Agent;
export type IncomingMessage = http.IncomingMessage;
export type ServerResponse<Request extends http.IncomingMessage = http.IncomingMessage> =
  http.ServerResponse<Request>;
