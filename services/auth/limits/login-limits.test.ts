import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { RegistryError } from '#libs/oci/errors.ts';
import { createRecordingLog } from '../../../test/support/recording-log.ts';
import { openKnownLogins } from './known-logins.ts';
import { createLoginLimits, type Limited } from './login-limits.ts';
import { createMemoryCounter } from './memory-counter.ts';

const minute = 60_000;
const { log } = createRecordingLog();

interface Options {
  now?: () => number;
  perAddress?: number;
  perAccount?: number;
  perLogin?: number;
  perAnonymous?: number;
}

function limits({ now = () => 0, ...given }: Options) {
  const none = { perAddress: 0, perAccount: 0, perLogin: 0, perAnonymous: 0 };
  const refused: Limited[] = [];
  const one = createLoginLimits({
    settings: { window: minute, ...none, ...given },
    counter: createMemoryCounter(minute, now),
    requests: createMemoryCounter(minute, now),
    known: openKnownLogins({ path: undefined, secret: Buffer.from('x'), redis: undefined, log }),
    onLimited: (limited) => refused.push(limited),
    maxWait: 50,
  });
  const admit = (account: string, client: string, guessable = true) =>
    one.admit({ account, client, guessable });
  return {
    ...one,
    refused,
    admit,
    async fail(account: string, client: string, times = 1) {
      for (let n = 0; n < times; n += 1) await (await admit(account, client)).wrong();
    },
    async succeed(account: string, client: string) {
      await (await admit(account, client)).right();
    },
  };
}

const isLimited = (seconds?: number) => (error: unknown) => {
  assert.ok(error instanceof RegistryError);
  assert.equal(error.code, 'TOOMANYREQUESTS');
  if (seconds !== undefined) assert.equal(error.retryAfter, seconds);
  return true;
};

describe('limits of logins', () => {
  test('an attempt whose counter fails half way is given back', async () => {
    const counter = createMemoryCounter(minute, () => 0);
    let fails = true;
    const one = createLoginLimits({
      settings: { window: minute, perAddress: 1, perAccount: 1, perLogin: 1, perAnonymous: 0 },
      counter: {
        reserve(group, budgets) {
          if (fails && group.startsWith('account:')) throw new Error('away');
          return counter.reserve(group, budgets);
        },
      },
      requests: counter,
      known: openKnownLogins({ path: undefined, secret: Buffer.from('x'), redis: undefined, log }),
      maxWait: 50,
    });
    const attempt = { account: 'bob', client: '10.0.0.1', guessable: true };
    await assert.rejects(one.admit(attempt), /away/);
    fails = false;
    await (await one.admit(attempt)).giveBack();
  });

  test('right passwords are never counted, however many come one after another', async () => {
    const one = limits({ perLogin: 3 });
    for (let n = 0; n < 50; n += 1) await one.succeed('bob', '10.0.0.1');
  });

  test('who is refused is told when to come back', async () => {
    let time = 10_000;
    const one = limits({ now: () => time, perLogin: 3 });
    await one.fail('bob', '10.0.0.1', 3);
    await assert.rejects(one.admit('bob', '10.0.0.1'), isLimited(51));
    await one.succeed('bob', '10.0.0.2');
    await one.succeed('eve', '10.0.0.1');
    time += 2 * minute;
    await one.succeed('bob', '10.0.0.1');
  });

  test('attempts under way count, and what waits for them goes on when one was right', async () => {
    const one = limits({ perLogin: 3 });
    const under = await Promise.all([1, 2, 3].map(() => one.admit('bob', '10.0.0.1')));
    await assert.rejects(one.admit('bob', '10.0.0.1'), isLimited(1));
    const fourth = one.admit('bob', '10.0.0.1');
    await under[0]?.right();
    await (await fourth).giveBack();
    await under[1]?.wrong();
    await under[2]?.wrong();
    assert.deepEqual(
      one.refused.map(({ limit }) => limit),
      ['waiting'],
    );
  });

  test('what did not take place is not counted', async () => {
    const one = limits({ perLogin: 1 });
    for (let n = 0; n < 5; n += 1) await (await one.admit('bob', '10.0.0.1')).giveBack();
    await one.fail('bob', '10.0.0.1');
    await assert.rejects(one.admit('bob', '10.0.0.1'), isLimited());
  });

  test('of a burst no more are admitted than one after another would be', async () => {
    const one = limits({ perLogin: 10, perAddress: 50, perAccount: 100 });
    const burst = await Promise.allSettled(
      Array.from({ length: 450 }, (_, n) => one.admit(`user${n}`, `2001:db8::${n.toString(16)}`)),
    );
    const admitted = burst.filter(({ status }) => status === 'fulfilled');
    assert.equal(admitted.length, 50);
  });

  test('a /48 has four times the budget of a /64, and its parts together no more', async () => {
    const one = limits({ perAddress: 5 });
    let admitted = 0;
    for (let n = 0; n < 100; n += 1) {
      const attempt = one.admit(`user${n}`, `2001:db8:7:${(n * 256).toString(16)}::1`);
      await attempt.then(
        async (admission) => {
          admitted += 1;
          await admission.wrong();
        },
        () => {},
      );
    }
    assert.equal(admitted, 20);
    await one.succeed('user', '2001:db8:8::1');
  });

  test('one who is known has a budget that neither network nor account use up', async () => {
    const one = limits({ perAddress: 2, perAccount: 2, perLogin: 2 });
    await one.succeed('bob', '10.0.0.1');
    await one.fail('eve', '10.0.0.1');
    await one.fail('ann', '10.0.0.1');
    await assert.rejects(one.admit('dan', '10.0.0.1'), isLimited());
    for (let host = 2; host < 40; host += 1) {
      await one.fail('bob', `10.0.0.${host}`).catch(() => {});
    }
    const admission = await one.admit('bob', '10.0.0.1');
    assert.equal(admission.lane, 'known');
    await admission.right();
    await one.fail('bob', '10.0.0.1', 2);
    await assert.rejects(one.admit('bob', '10.0.0.1'), isLimited());
  });

  test('a stale token that is sent again and again takes nothing from the password', async () => {
    const one = limits({ perAddress: 50, perAccount: 100, perLogin: 3 });
    await one.succeed('bob', '10.0.0.1');
    for (let n = 0; n < 10; n += 1) await (await one.admit('bob', '10.0.0.1', false)).wrong();
    const admission = await one.admit('bob', '10.0.0.1');
    assert.equal(admission.lane, 'known');
    await admission.right();
    for (let n = 10; n < 50; n += 1) await (await one.admit('bob', '10.0.0.1', false)).wrong();
    await assert.rejects(one.admit('bob', '10.0.0.1', false), isLimited());
    assert.equal(one.refused.at(-1)?.limit, 'address');
  });

  test('one who is known loses the lane there by a wrong guess', async () => {
    const one = limits({ perLogin: 10 });
    await one.succeed('bob', '10.0.0.1');
    await one.fail('bob', '10.0.0.1');
    const admission = await one.admit('bob', '10.0.0.1');
    assert.equal(admission.lane, 'other');
    await admission.right();
    await one.succeed('bob', '10.0.0.2');
    assert.equal((await one.admit('bob', '10.0.0.2')).lane, 'known');
  });

  test('beyond its limit an account may be tried once from each other network, up to ten times as much', async () => {
    const one = limits({ perAccount: 5, perLogin: 5 });
    await one.fail('bob', '10.0.0.1', 5);
    await assert.rejects(one.admit('bob', '10.0.0.1'), isLimited());
    let admitted = 0;
    for (let host = 2; host < 200; host += 1) {
      const attempt = one.fail('bob', `10.0.0.${host}`).then(() => {
        admitted += 1;
      });
      await attempt.catch(() => {});
      await assert.rejects(one.admit('bob', `10.0.0.${host}`), isLimited());
    }
    assert.equal(admitted, 45);
  });

  test('what nobody guesses counts for the network alone', async () => {
    const one = limits({ perAddress: 3, perAccount: 1, perLogin: 1 });
    for (let n = 0; n < 3; n += 1) await (await one.admit('gitlab:', '10.0.0.1', false)).wrong();
    await assert.rejects(one.admit('robot+ci', '10.0.0.1', false), isLimited());
    await assert.rejects(one.admit('bob', '10.0.0.1'), isLimited());
  });

  test('the first attempt of a network is told from others', async () => {
    const one = limits({ perAddress: 10 });
    const first = await one.admit('bob', '2001:db8:1:1::1');
    assert.equal(first.lane, 'first');
    assert.equal((await one.admit('bob', '2001:db8:1:2::1')).lane, 'other', 'of the same /48');
    assert.equal((await one.admit('bob', '2001:db8:2:1::1')).lane, 'first');
  });

  test('requests without a login have a limit of their own', async () => {
    const one = limits({ perAnonymous: 3, perAddress: 1 });
    for (let n = 0; n < 3; n += 1) await one.anonymous('10.0.0.1');
    await assert.rejects(one.anonymous('10.0.0.1'), isLimited());
    await one.anonymous('10.0.0.2');
    await one.succeed('bob', '10.0.0.1');
  });
});
