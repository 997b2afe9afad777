import { internalPaths } from '#libs/api/internal-paths.ts';
import { type PullFilterRequest, pullFilterAnswerSchema } from '#libs/auth/pull-filter.ts';
import type { InternalClient } from '#libs/internal/client.ts';
import { RegistryError } from '#libs/oci/errors.ts';
import type { PullFilter } from './api/pull-filter.ts';

/** Asks auth which names of a batch a caller may pull. */
export function createPullFilter(auth: InternalClient): PullFilter {
  return {
    async mayPull({ subject, details, client }, names, signal) {
      try {
        const answer = await auth.call({
          method: 'POST',
          path: internalPaths.pullFilter,
          headers: { 'content-type': 'application/json' },
          body: JSON.stringify({
            subject,
            details,
            client,
            names,
          } satisfies PullFilterRequest),
          timeout: 10_000,
          signal,
        });
        const { allowed } = pullFilterAnswerSchema.parse(JSON.parse(answer.body));
        return [...allowed].map((bit) => bit === '1');
      } catch (cause) {
        signal.throwIfAborted();
        throw new RegistryError('UNAVAILABLE', {
          message: 'the token service does not answer; try again',
          retryAfter: 2,
          cause,
        });
      }
    },
  };
}
