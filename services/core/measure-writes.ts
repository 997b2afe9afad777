import type { Metrics } from '#libs/metrics/metrics.ts';

/** Why nothing can be written; what a metric says in few words. */
export const writeObstacles = ['not-owner', 'no-space', 'read-only', 'failed'] as const;

export type WriteObstacle = (typeof writeObstacles)[number];

/** `portcullis_writes_refused`. */
export function measureWrites(
  metrics: Metrics | undefined,
  obstacles: () => readonly WriteObstacle[],
): void {
  metrics?.gauge(
    'portcullis_writes_refused',
    '1 for each reason why this core takes no writes now',
    ['reason'],
    (gauge) => {
      const now = obstacles();
      for (const reason of writeObstacles) gauge.set({ reason }, now.includes(reason) ? 1 : 0);
    },
  );
}
