import { randomInt } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Fleet, Member } from '../support/fleet.ts';

/** Something that goes wrong for a while. */
export interface Trouble {
  name: string;
  /** Resolves when it is over, and all that was ended runs again. */
  strike(): Promise<void>;
}

/** Milliseconds; longer than any lease of an upload. */
const longPause = [11_000, 14_000] as const;

function one<T>(list: readonly T[]): T {
  return list[randomInt(list.length)] as T;
}

/** All that can happen to a fleet; each kind as likely as the others. */
export function troublesOf(fleet: Fleet): Trouble[] {
  const { gateways, auths, cores, redis, redisRelay, coreRelays } = fleet;

  const crash = (name: string, members: readonly Member[]): Trouble => ({
    name: `${name} killed`,
    async strike() {
      const member = one(members);
      await member.kill();
      await sleep(randomInt(100, 2000));
      await member.start();
    },
  });
  const pause = (
    name: string,
    members: readonly Member[],
    [least, most] = [500, 3000],
  ): Trouble => ({
    name: `${name} held up${least === longPause[0] ? ' past its leases' : ''}`,
    async strike() {
      const member = one(members);
      member.pause();
      await sleep(randomInt(least ?? 0, most ?? 1));
      member.resume();
    },
  });
  const restart = (name: string, members: readonly Member[]): Trouble => ({
    name: `${name} restarted in order`,
    async strike() {
      const member = one(members);
      await member.stop();
      await member.start();
    },
  });

  return [
    crash('a core', cores),
    crash('a token service', auths),
    crash('a gateway', gateways),
    pause('a core', cores),
    pause('a core', cores, [...longPause]),
    pause('a token service', auths),
    pause('a gateway', gateways),
    restart('a core', cores),
    restart('a gateway', gateways),
    {
      name: 'a core cut off from the gateways',
      async strike() {
        const relay = one(coreRelays);
        relay.freeze();
        await sleep(randomInt(500, 6000));
        relay.thaw();
      },
    },
    {
      name: 'connections to a core broken',
      strike: async () => one(coreRelays).breakAll(),
    },
    {
      name: 'Redis cut off',
      async strike() {
        redisRelay.freeze();
        await sleep(randomInt(500, 4000));
        redisRelay.thaw();
      },
    },
    {
      name: 'Redis killed, and empty when it is back',
      async strike() {
        await redis.kill();
        await sleep(randomInt(100, 1500));
        await redis.restart();
      },
    },
    {
      name: 'Redis held up',
      async strike() {
        const { child } = redis;
        child.kill('SIGSTOP');
        await sleep(randomInt(500, 3000));
        child.kill('SIGCONT');
      },
    },
  ];
}
