import type { Digest } from '#libs/oci/digest.ts';
import { RegistryError } from '#libs/oci/errors.ts';

/** What a client wants to hold before something is changed (RFC 9110 section 13.1). */
export type Condition =
  | { kind: 'absent' }
  | { kind: 'present' }
  | { kind: 'one-of'; digests: readonly string[] };

/**
 * @param current what it is now; undefined if it does not exist
 * @param what how the message calls it
 * @param pushed what it would become: where it is that, an attempt whose answer was lost has done so
 * @throws RegistryError PRECONDITION_FAILED
 */
export function assertCondition(
  condition: Condition | undefined,
  current: Digest | undefined,
  what: string,
  pushed?: Digest,
): void {
  if (condition === undefined || holds(condition, current)) return;
  const now =
    current === undefined
      ? 'does not exist'
      : current === pushed
        ? 'points at this very manifest already'
        : `is ${current} now`;
  throw new RegistryError('PRECONDITION_FAILED', {
    message: `${what} ${now}; nothing was changed`,
    detail: { current: current ?? null },
  });
}

function holds(condition: Condition, current: Digest | undefined): boolean {
  switch (condition.kind) {
    case 'absent':
      return current === undefined;
    case 'present':
      return current !== undefined;
    case 'one-of':
      return current !== undefined && condition.digests.includes(current);
  }
}
