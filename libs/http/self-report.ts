import type { Middleware } from 'koa';
import type { HopGuard } from '#libs/hop/guard.ts';
import { expositionType } from '#libs/metrics/merge-expositions.ts';
import type { Metrics } from '#libs/metrics/metrics.ts';

/** Failing checks by name, each with its error. */
export type FailingChecks = Record<string, string>;

/** What a process tells of itself to those who run it; see docs/observability.md. */
export interface SelfReport {
  /** Undefined: nothing is measured. */
  readonly metrics: Metrics | undefined;
  /** Adds checks: a function that gives those that fail now. */
  addChecks(failing: () => FailingChecks): void;
  failing(): FailingChecks;
}

export function createSelfReport(metrics: Metrics | undefined): SelfReport {
  const sources: (() => FailingChecks)[] = [];
  return {
    metrics,
    addChecks: (failing) => void sources.push(failing),
    failing: () => Object.assign({}, ...sources.map((failing) => failing())) as FailingChecks,
  };
}

/** Where a process tells its own to our other processes. */
export const reportPaths = { health: '/internal/health', metrics: '/internal/metrics' } as const;

/** Answers {@link reportPaths}; for our own processes only. */
export function answerReports(report: SelfReport, guard: HopGuard): Middleware {
  return async (ctx, next) => {
    const asked = ctx.method === 'GET' && guard(ctx.req) ? ctx.req.url : undefined;
    if (asked === reportPaths.health) ctx.body = report.failing();
    else if (asked === reportPaths.metrics && report.metrics !== undefined) {
      ctx.body = await report.metrics.expose();
      ctx.set('Content-Type', expositionType);
    } else await next();
  };
}
