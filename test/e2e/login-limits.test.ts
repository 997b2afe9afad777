import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { startConfigured } from '../support/configured-stack.ts';
import type { Stack } from '../support/stack.ts';
import { createTokenClient, type TokenClient } from '../support/token-client.ts';

describe('guessing passwords', () => {
  let stack: Stack;
  let client: TokenClient;
  const password = 'a good password';

  before(async () => {
    stack = await startConfigured({
      users: { bob: password, eve: password },
      sections: () => ({
        portcullis: {
          auth: { limits: { window: '1h', login: 5, account: 8, address: 12 } },
          gateway: { trustedproxies: ['127.0.0.1'] },
        },
      }),
    });
    client = createTokenClient(stack.url);
  });

  after(() => stack.remove());

  /** The statuses of so many wrong passwords for an account, from an address. */
  async function guess(account: string, from: string, times: number): Promise<number[]> {
    const statuses: number[] = [];
    for (let n = 0; n < times; n += 1) {
      const basic = Buffer.from(`${account}:wrong ${n}`).toString('base64');
      const headers = { Authorization: `Basic ${basic}`, 'X-Forwarded-For': from };
      const answer = await fetch(`${stack.url}/v2/_token`, { headers });
      statuses.push(answer.status);
      if (answer.status === 429) assert.ok(Number(answer.headers.get('retry-after')) > 0);
      await answer.body?.cancel();
    }
    return statuses;
  }
  const loginFrom = async (from: string, account = 'bob') => {
    const basic = Buffer.from(`${account}:${password}`).toString('base64');
    const headers = { Authorization: `Basic ${basic}`, 'X-Forwarded-For': from };
    return (await fetch(`${stack.url}/v2/_token`, { headers })).status;
  };

  test('after a few wrong passwords from one address there are no more comparisons', async () => {
    assert.deepEqual(await guess('bob', '10.0.0.1', 7), [401, 401, 401, 401, 401, 429, 429]);
    const warnings = stack.output().match(/too many wrong passwords: further/g);
    assert.equal(warnings?.length, 1, 'said once');
    assert.match(stack.output(), /limit=login/);
  });

  test('others are not touched: the account elsewhere, other accounts there', async () => {
    assert.equal(await loginFrom('10.0.0.2'), 200);
    assert.equal(await loginFrom('10.0.0.1', 'eve'), 200);
  });

  test('nor is a session that there is: tokens, identity tokens, a password just used', async () => {
    const { token, refreshToken = '' } = await client.post({
      ...{ grant_type: 'password', username: 'bob', password, access_type: 'offline' },
      service: 'portcullis',
    });
    // From many addresses, until the account has its limit everywhere.
    for (const host of [21, 22, 23]) await guess('bob', `10.0.0.${host}`, 4);
    assert.deepEqual(await guess('bob', '10.0.0.30', 1), [429]);
    assert.equal(await client.use(token), 200);
    const form = {
      grant_type: 'refresh_token',
      refresh_token: refreshToken,
      service: 'portcullis',
    };
    assert.equal((await client.post(form)).status, 200);
    assert.equal(await loginFrom('10.0.0.2'), 200, 'where it logged in lately');
    assert.equal(await loginFrom('10.0.0.1'), 200, 'the password is remembered');
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
});
