import { z } from 'zod';

/** The payload of a registry token (distribution's "Token Authentication Implementation"). */
export const claimsSchema = z.object({
  iss: z.string(),
  /** The account; empty for an anonymous caller. */
  sub: z.string(),
  aud: z.union([z.string(), z.array(z.string())]),
  /** Seconds since the epoch, as are `nbf` and `iat`. */
  exp: z.number(),
  nbf: z.number().optional(),
  iat: z.number(),
  jti: z.string().optional(),
  access: z
    .array(z.object({ type: z.string(), name: z.string(), actions: z.array(z.string()) }))
    .default([]),
});

export type Claims = z.infer<typeof claimsSchema>;
