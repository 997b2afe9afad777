import type { Middleware } from 'koa';

/** Whether a process wants requests: what balancers, kubelets and gateways ask. */
export interface Readiness {
  /** Why not, in a few words; undefined while it is ready. */
  reason(): string | undefined;
  /** Adds a condition: a function that tells why not, or undefined. */
  require(condition: () => string | undefined): void;
  /** Adds what is told of a process that is ready, but cannot do everything: a function that tells it, or undefined. */
  mention(condition: () => string | undefined): void;
  /** What it cannot do now. */
  conditions(): string[];
  /** True once it is stopping. */
  readonly draining: boolean;
  /** From now on it is not ready: it is stopping. */
  startDraining(): void;
}

export function createReadiness(): Readiness {
  const required: (() => string | undefined)[] = [];
  const mentioned: (() => string | undefined)[] = [];
  let draining = false;
  return {
    reason() {
      if (draining) return 'stopping';
      for (const condition of required) {
        const reason = condition();
        if (reason !== undefined) return reason;
      }
      return undefined;
    },
    get draining() {
      return draining;
    },
    require: (condition) => void required.push(condition),
    mention: (condition) => void mentioned.push(condition),
    conditions: () => mentioned.map((tell) => tell()).filter((text) => text !== undefined),
    startDraining() {
      draining = true;
    },
  };
}

/**
 * Answers `/healthz` (200 as long as the process can answer at all) and `/readyz` (200, with what it cannot do now, or
 * 503 with the reason), for everybody and without credentials.
 */
export function probes(readiness: Readiness): Middleware {
  return async (ctx, next) => {
    // Not ctx.path: that throws for a target that cannot be read, which others refuse with grace.
    const path = pathOf(ctx.req.url);
    if (!isHealthPath(path) || (ctx.method !== 'GET' && ctx.method !== 'HEAD')) return await next();
    const reason = path === '/readyz' ? readiness.reason() : undefined;
    ctx.status = reason === undefined ? 200 : 503;
    ctx.set('Cache-Control', 'no-store');
    const conditions = path === '/readyz' ? readiness.conditions() : [];
    ctx.body = { status: reason ?? 'ok', ...(conditions.length === 0 ? {} : { conditions }) };
  };
}

const pathOf = (target: string | undefined) => target?.split('?', 1)[0];

/** Whether a request asks how the process is. @param target of its first line */
export function isHealthPath(target: string | undefined): boolean {
  return ['/healthz', '/readyz'].includes(pathOf(target) ?? '');
}
