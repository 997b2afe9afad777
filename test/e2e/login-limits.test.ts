import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { startConfigured } from '../support/configured-stack.ts';
import { type Stack, startStack } from '../support/stack.ts';
import { createTokenClient, type TokenClient } from '../support/token-client.ts';

describe('guessing passwords', () => {
  let stack: Stack;
  let restarted: Stack | undefined;
  let client: TokenClient;
  const password = 'a good password';
  const users = Object.fromEntries(
    ['bob', 'eve', 'ann', 'dan', 'fay', 'gus', 'hal'].map((name) => [name, password]),
  );

  before(async () => {
    stack = await startConfigured({
      users,
      sections: () => ({
        portcullis: {
          auth: { limits: { window: '1h', login: 5, account: 8, address: 12 } },
          gateway: { trustedproxies: ['127.0.0.1'] },
        },
      }),
    });
    client = createTokenClient(stack.url);
  });

  after(async () => {
    await restarted?.stop();
    await stack.remove();
  });

  interface Answer {
    status: number;
    retryAfter: string | null;
    body: string;
  }

  /** A login by GET, from an address. */
  async function login(account: string, secret: string, from: string): Promise<Answer> {
    const basic = Buffer.from(`${account}:${secret}`).toString('base64');
    const headers = { Authorization: `Basic ${basic}`, 'X-Forwarded-For': from };
    const answer = await fetch(`${stack.url}/v2/_token`, { headers });
    const { status } = answer;
    return { status, retryAfter: answer.headers.get('retry-after'), body: await answer.text() };
  }
  /** The statuses of so many different wrong passwords, one after another. */
  async function guess(account: string, from: string, times: number): Promise<number[]> {
    const statuses: number[] = [];
    for (let n = 0; n < times; n += 1) {
      const { status, retryAfter } = await login(account, `wrong ${from} ${n}`, from);
      statuses.push(status);
      if (status === 429) assert.ok(Number(retryAfter) > 0);
    }
    return statuses;
  }
  const loginFrom = async (from: string, account = 'bob') =>
    (await login(account, password, from)).status;

  test('after a few wrong passwords from one address there are no more comparisons', async () => {
    assert.deepEqual(await guess('bob', '10.0.0.1', 7), [401, 401, 401, 401, 401, 429, 429]);
    assert.match(stack.output(), /too many attempts.*limit=login/);
  });

  test('who is limited learns nothing, though the password was right just now elsewhere', async () => {
    assert.equal(await loginFrom('10.0.0.2'), 200);
    const start = performance.now();
    const right = await login('bob', password, '10.0.0.1');
    const wrong = await login('bob', 'wrong', '10.0.0.1');
    const elapsedSeconds = (performance.now() - start) / 1000;
    assert.equal(right.status, 429);
    assert.equal(wrong.status, 429);
    assert.equal(right.body, wrong.body);
    // Both count down to one moment: the later answer is lower by the time that passed, rounded.
    const difference = Number(right.retryAfter) - Number(wrong.retryAfter);
    assert.ok(difference >= 0 && difference <= elapsedSeconds + 1, `${difference} s apart`);
  });

  test('by POST, and by Basic straight at the registry, it is the same', async () => {
    const form = new URLSearchParams({ grant_type: 'password', username: 'bob', password });
    const headers = { 'X-Forwarded-For': '10.0.0.1' };
    const posted = await fetch(`${stack.url}/v2/_token`, { method: 'POST', body: form, headers });
    assert.equal(posted.status, 429);
    const basic = Buffer.from(`bob:${password}`).toString('base64');
    const direct = await fetch(`${stack.url}/v2/a/tags/list`, {
      headers: { ...headers, Authorization: `Basic ${basic}` },
    });
    assert.equal(direct.status, 429);
    assert.ok(Number(direct.headers.get('retry-after')) > 0);
    await Promise.all([posted.text(), direct.text()]);
  });

  test('others are not touched: the account elsewhere, other accounts there', async () => {
    assert.equal(await loginFrom('10.0.0.3'), 200);
    assert.equal(await loginFrom('10.0.0.1', 'eve'), 200);
  });

  test('the same wrong password again and again is one guess', async () => {
    for (let n = 0; n < 10; n += 1) {
      assert.equal((await login('eve', 'the old password', '10.0.0.8')).status, 401);
    }
    assert.equal(await loginFrom('10.0.0.8', 'eve'), 200);
  });

  test('guesses that come all at once are no more than those one after another', async () => {
    const many = (times: number, one: (n: number) => Promise<Answer>) =>
      Promise.all(Array.from({ length: times }, (_, n) => one(n)));
    // Of one account, each from another address of one /64.
    const same = await many(150, (n) => login('dan', `guess ${n}`, `2001:db8:1:1::${n + 1}`));
    assert.ok(same.filter(({ status }) => status === 401).length <= 5);
    assert.ok(same.every(({ status }) => status === 401 || status === 429));
    // Each of another account.
    const other = await many(150, (n) => login(`user${n}`, 'a guess', `2001:db8:2:1::${n + 1}`));
    assert.ok(other.filter(({ status }) => status === 401).length <= 12);
  });

  test('right logins that come all at once are all right', async () => {
    const answers = await Promise.all(
      Array.from({ length: 60 }, () => login('fay', password, '10.0.5.1')),
    );
    assert.deepEqual([...new Set(answers.map(({ status }) => status))], [200]);
  });

  test('a /56 and a /48 have budgets of their own, which no number of their parts exceeds', async () => {
    const statuses: number[] = [];
    for (let n = 0; n < 60; n += 1) {
      const part = n.toString(16);
      statuses.push((await login(`nobody${n}`, 'x', `2001:db8:3:${part}00::1`)).status);
    }
    assert.equal(statuses.filter((status) => status === 401).length, 48, '4 × 12 from a /48');
    assert.equal(await loginFrom('2001:db8:4::1', 'gus'), 200);
  });

  test('nobody locks an account out: neither where it was lately, nor at a new address', async () => {
    // Known from an address; then guesses from eleven others.
    assert.equal(await loginFrom('10.0.1.1', 'ann'), 200);
    for (let host = 1; host <= 11; host += 1) await guess('ann', `10.0.2.${host}`, 5);
    assert.deepEqual(await guess('ann', '10.0.2.1', 1), [429]);
    assert.equal(await loginFrom('10.0.1.1', 'ann'), 200, 'where it logged in lately');
    // Never seen before, guessed at from eleven addresses.
    for (let host = 1; host <= 11; host += 1) await guess('hal', `10.0.2.${host + 20}`, 5);
    assert.equal(await loginFrom('10.0.3.1', 'hal'), 200, 'at a new address');
  });

  test('nor is a session ended: tokens and identity tokens go on', async () => {
    const { token, refreshToken = '' } = await client.post({
      ...{ grant_type: 'password', username: 'bob', password, access_type: 'offline' },
      service: 'portcullis',
    });
    for (const host of [21, 22, 23]) await guess('bob', `10.0.0.${host}`, 4);
    assert.equal(await client.use(token), 200);
    const form = {
      grant_type: 'refresh_token',
      refresh_token: refreshToken,
      service: 'portcullis',
    };
    assert.equal((await client.post(form)).status, 200);
  });

  test('an address has a limit for all accounts together, a /64 being one', async () => {
    const names = Array.from({ length: 14 }, (_, index) => `nobody-${index}`);
    const statuses: number[] = [];
    for (const [index, name] of names.entries()) {
      statuses.push(...(await guess(name, `2001:db8:0:1::${index + 1}`, 1)));
    }
    assert.deepEqual(statuses.slice(10), [401, 401, 429, 429]);
    assert.deepEqual(await guess('nobody', '2001:db8:0:2::1', 1), [401]);
  });

  test('an address that is limited is so for identity tokens and secrets of robots, too', async () => {
    const from = '10.0.6.1';
    for (let n = 0; n < 12; n += 1) await login(`robot+r${n}`, `prt_${n}`, from);
    assert.equal((await login('robot+x', 'prt_x', from)).status, 429);
    const form = new URLSearchParams({ grant_type: 'refresh_token', refresh_token: 'x' });
    const headers = { 'X-Forwarded-For': from };
    const posted = await fetch(`${stack.url}/v2/_token`, { method: 'POST', body: form, headers });
    assert.equal(posted.status, 429);
    await posted.text();
  });

  test('who is known is known after a restart', async () => {
    await stack.stop();
    const { dir } = stack;
    const port = Number(new URL(stack.url).port);
    restarted = await startStack({ dir, port, args: ['serve', join(dir, 'config.yml')] });
    // So many from its own address that its network is limited, by other names.
    for (let n = 0; n < 13; n += 1) await login(`nobody${n}`, 'x', '10.0.1.1');
    assert.equal((await login('somebody', 'x', '10.0.1.1')).status, 429);
    assert.equal(await loginFrom('10.0.1.1', 'ann'), 200);
  });
});
