import { z } from 'zod';
import { callerDetailsSchema } from './claims.ts';

/** What a core asks a token service: which of these repositories a caller may pull. */
export const pullFilterRequestSchema = z.object({
  subject: z.string(),
  /** What its token says of it besides. */
  details: callerDetailsSchema.optional(),
  /** Its address. */
  client: z.string().default(''),
  names: z.array(z.string()).max(1000).readonly(),
});

export type PullFilterRequest = z.input<typeof pullFilterRequestSchema>;

/** What the token service answers: a row of 0 and 1, in the order of the names. */
export const pullFilterAnswerSchema = z.object({ allowed: z.string().regex(/^[01]*$/) });

export type PullFilterAnswer = z.infer<typeof pullFilterAnswerSchema>;
