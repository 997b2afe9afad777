import type { Middleware } from 'koa';
import { internalPaths } from '#libs/api/internal-paths.ts';
import { expositionType } from '#libs/metrics/merge-expositions.ts';
import type { Metrics } from '#libs/metrics/metrics.ts';
import type { PeerCheck } from './peer-check.ts';

/** Failing checks by name, each with its error. */
export type FailingChecks = Record<string, string>;

/** What a process tells of itself to those who run it; see docs/observability.md. */
export interface ProcessStatus {
  /** Undefined: nothing is measured. */
  readonly metrics: Metrics | undefined;
  /** Adds checks: a function that gives those that fail now. */
  addChecks(failing: () => FailingChecks): void;
  failing(): FailingChecks;
}

export function createProcessStatus(metrics: Metrics | undefined): ProcessStatus {
  const sources: (() => FailingChecks)[] = [];
  return {
    metrics,
    addChecks: (failing) => void sources.push(failing),
    failing: () => Object.assign({}, ...sources.map((failing) => failing())) as FailingChecks,
  };
}

/** Answers what {@link internalPaths} has for every process; for our own processes only. */
export function serveProcessStatus(processStatus: ProcessStatus, checkPeer: PeerCheck): Middleware {
  return async (ctx, next) => {
    const asked = ctx.method === 'GET' && checkPeer(ctx.req) ? ctx.req.url : undefined;
    if (asked === internalPaths.health) ctx.body = processStatus.failing();
    else if (asked === internalPaths.metrics && processStatus.metrics !== undefined) {
      ctx.body = await processStatus.metrics.expose();
      ctx.set('Content-Type', expositionType);
    } else await next();
  };
}
