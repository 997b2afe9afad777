import { z } from 'zod';
import type { InternalClient } from '#libs/internal/client.ts';
import { RegistryError } from '#libs/oci/errors.ts';
import type { PullFilter } from './api/pull-filter.ts';

const answerSchema = z.object({ allowed: z.string().regex(/^[01]*$/) });

/** Asks auth which names of a batch a caller may pull (`POST /internal/filter`). */
export function createPullFilter(auth: InternalClient): PullFilter {
  return {
    async mayPull({ subject, details, client }, names, signal) {
      try {
        const answer = await auth.call({
          method: 'POST',
          path: '/internal/filter',
          headers: { 'content-type': 'application/json' },
          body: JSON.stringify({ subject, details, client, names }),
          timeout: 10_000,
          signal,
        });
        const { allowed } = answerSchema.parse(JSON.parse(answer.body));
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
