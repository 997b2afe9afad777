import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { startConfigured } from '../support/configured-stack.ts';
import { mustRun, run } from '../support/run.ts';
import { launcher, type Stack } from '../support/stack.ts';

const basic = `Basic ${Buffer.from('bob:a good password').toString('base64')}`;

describe('signing keys while the registry serves', () => {
  let stack: Stack;
  let state: string;

  before(async () => {
    stack = await startConfigured({
      users: { bob: 'a good password' },
      sections: () => ({ portcullis: { token: { ttl: '1m' } } }),
    });
    state = join(stack.dir, 'portcullis-state');
  });

  after(() => stack.remove());

  const keys = (...args: string[]) => run(launcher, ['keys', ...args]);

  async function getToken(): Promise<{ token: string; kid: string }> {
    const answer = await fetch(`${stack.url}/v2/_token`, { headers: { Authorization: basic } });
    assert.equal(answer.status, 200);
    const { token } = (await answer.json()) as { token: string };
    const header = Buffer.from(token.split('.')[0] ?? '', 'base64url').toString();
    return { token, kid: (JSON.parse(header) as { kid: string }).kid };
  }
  const use = async (token: string) =>
    (await fetch(`${stack.url}/v2/`, { headers: { Authorization: `Bearer ${token}` } })).status;

  test('no request fails while keys rotate', async () => {
    const seen = new Set<string>();
    const statuses = new Map<number, number>();
    let stop = false;
    const clients = Array.from({ length: 16 }, async () => {
      while (!stop) {
        const { token, kid } = await getToken();
        seen.add(kid);
        for (let uses = 0; uses < 5; uses += 1) {
          const status = await use(token);
          statuses.set(status, (statuses.get(status) ?? 0) + 1);
        }
        await sleep(10);
      }
    });
    for (let round = 0; round < 2; round += 1) {
      // Longer than the others take to hear of it.
      await mustRun(launcher, ['keys', 'rotate', '--grace', '6s', '--state', state]);
      await sleep(8000);
    }
    stop = true;
    await Promise.all(clients);
    assert.deepEqual([...statuses.keys()], [200]);
    assert.equal(seen.size, 3);
    const list = await mustRun(launcher, ['keys', 'list', '--state', state]);
    assert.deepEqual(list.match(/ (?:signs|signed|will sign) /g), [
      ' signed ',
      ' signed ',
      ' signs ',
    ]);
  });

  test('a key that is revoked takes its tokens with it, and clients get new ones', async () => {
    const { token, kid } = await getToken();
    assert.equal(await use(token), 200);
    for (const unknown of ['unknown', `-${'A'.repeat(42)}`]) {
      const refused = await keys('revoke', '--state', state, unknown);
      assert.deepEqual([refused.code, /has no key/.test(refused.stderr)], [1, true]);
    }
    await mustRun(launcher, ['keys', 'rotate', '--grace', '0', '--state', state]);
    await mustRun(launcher, ['keys', 'revoke', '--state', state, kid]);
    const began = Date.now();
    while ((await use(token)) === 200) {
      assert.ok(Date.now() - began < 10_000, 'the tokens of a revoked key die');
      await sleep(50);
    }
    const next = await getToken();
    assert.notEqual(next.kid, kid);
    assert.equal(await use(next.token), 200);
  });

  test('the last key that signs is not revoked, and a second first one is not made', async () => {
    const list = await mustRun(launcher, ['keys', 'list', '--state', state]);
    const kids = [...list.matchAll(/^([\w-]{43}) /gm)].map(([, kid = '']) => kid);
    for (const kid of kids.slice(0, -1))
      await mustRun(launcher, ['keys', 'revoke', '--state', state, kid]);
    const last = await keys('revoke', '--state', state, kids.at(-1) ?? '');
    assert.equal(last.code, 1);
    assert.match(last.stderr, /keys rotate --grace 0/);
    assert.match((await keys('create', '--state', state)).stderr, /already holds 1 signing key/);
  });

  test('what others are to trust is exported', async () => {
    assert.match((await keys('export', '--state', state)).stdout, /^-----BEGIN CERTIFICATE-----/);
    const { keys: exported } = JSON.parse(
      (await keys('export', '--jwks', '--state', state)).stdout,
    ) as {
      keys: Record<string, string>[];
    };
    assert.equal(exported.length, 1);
    assert.equal(exported[0]?.d, undefined, 'nothing private');
  });
});
