import type { GatewayLimits } from '#libs/config/sections/gateway.ts';
import { type Budget, createBudget } from '#libs/limits/budget.ts';

/** What a gateway shares out among the networks its clients come from. */
export interface GatewayBudgets {
  connections: Budget;
  /** Requests being served; over HTTP/2 one connection has many. */
  requests: Budget;
}

export function createGatewayBudgets(limits: GatewayLimits): GatewayBudgets {
  const budget = (name: keyof GatewayBudgets, message: string) =>
    createBudget({ name, capacity: limits[name], maxWait: 0, message });
  return {
    connections: budget('connections', 'there are too many connections'),
    requests: budget('requests', 'too many requests are being served'),
  };
}
