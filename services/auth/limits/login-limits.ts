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
   * Asks before a password is compared; counts it as wrong until it is said to be right.
   * @returns to be called when the password was right
   * @throws RegistryError TOOMANYREQUESTS with the time to come back
   */
  admit(account: string, client: string): Promise<() => Promise<void>>;
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

  return {
    async admit(account, client) {
      const network = networkOf(client);
      const login = `${account}\0${network}`;
      const limits: [key: string, most: number][] = [
        [`address:${network}`, perAddress],
        [`login:${login}`, perLogin],
      ];
      if (!known.has(login)) limits.push([`account:${account}`, perAccount]);
      const counted: string[] = [];
      const giveBack = async () => {
        await Promise.all(counted.map((key) => counter.add(key, -1)));
      };
      for (const [key, most] of limits) {
        if (most === 0) continue;
        counted.push(key);
        if ((await counter.add(key, 1)) <= most) continue;
        // Those that are refused are no guesses.
        await giveBack();
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
      return async () => {
        known.set(login, true);
        await giveBack();
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
