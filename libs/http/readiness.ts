import type { Middleware } from 'koa';

/** Whether a process wants requests: what balancers, kubelets and gateways ask. */
export interface Readiness {
  /** Why not, in a few words; undefined while it is ready. */
  reason(): string | undefined;
  /** Adds a condition: a function that tells why not, or undefined. */
  require(condition: () => string | undefined): void;
  /** From now on it is not ready: it is stopping. */
  startDraining(): void;
}

export function createReadiness(): Readiness {
  const conditions: (() => string | undefined)[] = [];
  let draining = false;
  return {
    reason() {
      if (draining) return 'stopping';
      for (const condition of conditions) {
        const reason = condition();
        if (reason !== undefined) return reason;
      }
      return undefined;
    },
    require: (condition) => void conditions.push(condition),
    startDraining() {
      draining = true;
    },
  };
}

/**
 * Answers `/healthz` (200 as long as the process can answer at all) and `/readyz` (200, or 503 with the
 * reason), for everybody and without credentials.
 */
export function probes(readiness: Readiness): Middleware {
  return async (ctx, next) => {
    // Not `ctx.path`: a target that cannot be read is refused later.
    const path = ctx.req.url?.split('?', 1)[0];
    const asked = path === '/healthz' || path === '/readyz';
    if (!asked || (ctx.method !== 'GET' && ctx.method !== 'HEAD')) return await next();
    const reason = path === '/readyz' ? readiness.reason() : undefined;
    ctx.status = reason === undefined ? 200 : 503;
    ctx.set('Cache-Control', 'no-store');
    ctx.body = { status: reason ?? 'ok' };
  };
}
