import type { GatewayLimits } from '#libs/config/sections/gateway.ts';
import { type Budget, createBudget } from '#libs/limits/budget.ts';

/** What a gateway shares out among the networks its clients come from. */
export interface GatewayBudgets {
  connections: Budget;
  /** Requests being served; over HTTP/2 one connection has many. */
  requests: Budget;
  /** Streams of HTTP/2 that are open, whether their requests are served or refused. */
  streams: Budget;
  /** Bytes of memory for blobs that are read here. */
  downloads: Budget;
}

/** Milliseconds that a request waits for memory before it is refused. */
const maxWait = 10_000;
/** Streams for each request that may be served: some are still to be told that theirs is not. */
const streamsPerRequest = 1.25;

export function createGatewayBudgets(limits: GatewayLimits): GatewayBudgets {
  const budget = (name: keyof GatewayBudgets, message: string, capacity: number, wait = 0) =>
    createBudget({ name, capacity, maxWait: wait, message });
  return {
    connections: budget('connections', 'there are too many connections', limits.connections),
    requests: budget('requests', 'too many requests are being served', limits.requests),
    streams: budget(
      'streams',
      'too many streams are open',
      Math.ceil(streamsPerRequest * limits.requests),
    ),
    downloads: budget('downloads', 'too many blobs are pulled at once', limits.downloads, maxWait),
  };
}
