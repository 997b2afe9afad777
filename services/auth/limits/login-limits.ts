import { isIPv6 } from 'node:net';
import { LRUCache } from 'lru-cache';
import type { LimitSettings } from '#libs/config/settings.ts';
import { plainAddress } from '#libs/http/networks.ts';
import type { Logger } from '#libs/log/logger.ts';
import { RegistryError } from '#libs/oci/errors.ts';
import type { FailureCounter } from './failure-counter.ts';

/** Milliseconds that an address is known for a login that was right. */
const knownFor = 24 * 60 * 60 * 1000;

/** Slows down whoever guesses passwords, and nobody else. */
export interface LoginLimits {
  /**
   * Asks before a password is compared. What is compared at the same time is not counted yet: how much that may be
   * is bounded where passwords are compared.
   * @returns to be called with what came of it
   * @throws RegistryError TOOMANYREQUESTS with the time to come back
   */
  admit(account: string, client: string): Promise<(right: boolean) => Promise<void>>;
  /**
   * Counts, for the address alone, what was wrong and could be told without being guessed at: a secret or a
   * signature.
   * @throws RegistryError TOOMANYREQUESTS
   */
  wrong(client: string): Promise<void>;
}

/**
 * Wrong passwords are counted for an address, for an account from an address, and for an account from
 * everywhere; addresses from which the account logged in lately are spared the last, so that nobody's guesses lock
 * somebody out of their own desk.
 */
export function createLoginLimits(
  { window, perAddress, perAccount, perLogin }: LimitSettings,
  counter: FailureCounter,
  log: Logger,
  now: () => number = Date.now,
): LoginLimits {
  const known = new LRUCache<string, true>({ max: 20_000, ttl: knownFor });
  /** What was said to the operator in this window. */
  const said = new LRUCache<string, true>({ max: 1000, ttl: window });

  type Limit = [key: string, most: number];

  async function assertBelow(limits: readonly Limit[], account: string, client: string) {
    for (const [key, most] of limits) {
      if (most === 0 || (await counter.count(key)) < most) continue;
      if (!said.has(key)) {
        said.set(key, true);
        log.warn(
          { subject: account, client, limit: key.split(':', 1)[0], windowMs: window },
          'too many wrong passwords: further ones are not compared for a while',
        );
      }
      throw new RegistryError('TOOMANYREQUESTS', {
        message: 'too many wrong passwords; try again later',
        retryAfter: Math.max(1, Math.ceil((window - (now() % window)) / 1000)),
      });
    }
  }
  const count = async (limits: readonly Limit[]) => {
    await Promise.all(limits.map(([key, most]) => (most === 0 ? undefined : counter.add(key))));
  };

  return {
    async wrong(client) {
      const limits: Limit[] = [[`address:${networkOf(client)}`, perAddress]];
      await assertBelow(limits, '', client);
      await count(limits);
    },

    async admit(account, client) {
      const network = networkOf(client);
      const login = `${account}\0${network}`;
      const limits: Limit[] = [
        [`address:${network}`, perAddress],
        [`login:${login}`, perLogin],
      ];
      const everywhere: Limit = [`account:${account}`, perAccount];
      await assertBelow(known.has(login) ? limits : [...limits, everywhere], account, client);
      return async (right) => {
        if (right) known.set(login, true);
        else await count([...limits, everywhere]);
      };
    },
  };
}

/** One customer has a whole /64 of IPv6. */
function networkOf(client: string): string {
  const address = plainAddress(client);
  if (!isIPv6(address)) return address;
  const [head = '', tail = ''] = address.toLowerCase().split('::');
  const groups = head.split(':').filter(Boolean);
  const behind = address.includes('::') ? tail.split(':').filter(Boolean).length : 0;
  const zeros = Array.from({ length: Math.max(0, 8 - groups.length - behind) }, () => '0');
  return [...groups, ...zeros].slice(0, 4).join(':');
}
