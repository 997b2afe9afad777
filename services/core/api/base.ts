import type { Handler } from './handler.ts';

/** GET /v2/: tells that this is a registry, and to whom the client is logged in. */
export const base: Handler = async (ctx) => {
  ctx.type = 'application/json';
  ctx.body = '{}';
};
