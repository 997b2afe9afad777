import { Agent } from 'node:http';
import { z } from 'zod';
import { call } from '#libs/http/call.ts';
import { RegistryError } from '#libs/oci/errors.ts';
import type { PullFilter } from './api/pull-filter.ts';

const answerSchema = z.object({ allowed: z.string().regex(/^[01]*$/) });

/**
 * Asks auth which names of a batch a subject may pull (`POST /internal/filter`).
 * @param socketPath auth's Unix socket
 */
export function createPullFilter(socketPath: string): PullFilter & { close(): void } {
  const agent = new Agent({ keepAlive: true });
  return {
    async mayPull(subject, names) {
      try {
        const answer = await call({
          socketPath,
          agent,
          method: 'POST',
          path: '/internal/filter',
          headers: { 'Content-Type': 'application/json' },
          body: JSON.stringify({ subject, names }),
          timeout: 10_000,
        });
        const { allowed } = answerSchema.parse(JSON.parse(answer.body));
        return [...allowed].map((bit) => bit === '1');
      } catch (cause) {
        throw new RegistryError('UNAVAILABLE', {
          message: 'the token service does not answer; try again',
          retryAfter: 2,
          cause,
        });
      }
    },
    close: () => agent.destroy(),
  };
}
