import { z } from 'zod';

const publishedKeySchema = z.looseObject({
  kty: z.string(),
  kid: z.string(),
  /** It signs no more; its expired tokens may still finish their uploads. */
  uploadsOnly: z.boolean().optional(),
});

export type PublishedKey = z.infer<typeof publishedKeySchema>;

/**
 * What auth tells our other processes so that they can verify tokens, over an internal link only
 * (`GET /internal/trust`).
 */
export const keySetSchema = z.object({
  /** Public keys, as a JWK Set (RFC 7517 section 5). */
  keys: z.array(publishedKeySchema),
  /** Subject → seconds since the epoch: tokens issued before are void. */
  revoked: z.record(z.string(), z.number()),
  /** Changes with the rules and users, so that cached answers can be dropped. */
  policyVersion: z.string(),
});

export type KeySet = z.infer<typeof keySetSchema>;

/** The union of what two auths say: all keys, and all revocations. */
export function mergeKeySets(one: KeySet, other: KeySet): KeySet {
  const known = new Set(one.keys.map(({ kid }) => kid));
  const revoked = new Map(Object.entries(one.revoked));
  for (const [subject, time] of Object.entries(other.revoked)) {
    revoked.set(subject, Math.max(time, revoked.get(subject) ?? 0));
  }
  return {
    keys: [...one.keys, ...other.keys.filter(({ kid }) => !known.has(kid))],
    revoked: Object.fromEntries(revoked),
    policyVersion: [...new Set([...one.policyVersion.split('+'), other.policyVersion])]
      .sort()
      .join('+'),
  };
}
