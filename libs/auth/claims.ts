import { z } from 'zod';

/** A list of what may be done to what. */
const accessSchema = z.array(
  z.object({ type: z.string(), name: z.string(), actions: z.array(z.string()) }),
);

/** What rules later need to know of who asked, besides the account. */
export const callerDetailsSchema = z.object({
  /** A workload's claims. */
  labels: z.record(z.string(), z.array(z.string())).optional(),
  /** A robot's own access, in tokens of token services before 0.2; others look it up by the robot's name. */
  access: accessSchema.optional(),
});

export type CallerDetails = z.infer<typeof callerDetailsSchema>;

/** The payload of a registry token (distribution's "Token Authentication Implementation"). */
export const claimsSchema = z.object({
  iss: z.string(),
  /** The account; empty for an anonymous caller. */
  sub: z.string(),
  aud: z.union([z.string(), z.array(z.string())]),
  /** Seconds since the epoch, as are `nbf` and `iat`. */
  exp: z.number(),
  nbf: z.number().optional(),
  iat: z.number().default(0),
  jti: z.string().optional(),
  /** Some servers say null for none. */
  access: accessSchema.nullish().transform((access) => access ?? []),
  /** Ours; absent for plain accounts. */
  caller: callerDetailsSchema.optional(),
});

export type Claims = z.infer<typeof claimsSchema>;
