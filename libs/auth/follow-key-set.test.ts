import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { exportJWK, generateKeyPair, type JWK } from 'jose';
import type { InternalClient } from '#libs/internal/client.ts';
import { createRecordingLog } from '../../test/support/recording-log.ts';
import { type FollowedKeySet, followKeySet } from './follow-key-set.ts';

const opened: FollowedKeySet[] = [];
after(() => {
  for (const one of opened) one.close();
});

async function publicKey(kid: string): Promise<JWK> {
  const { publicKey: key } = await generateKeyPair('ES256');
  return { ...(await exportJWK(key)), kid, alg: 'ES256', use: 'sig' };
}

/** A token service that answers with the keys it has at that moment. */
function tokenService(keys: JWK[]): { client: InternalClient; asked: () => number } {
  let asked = 0;
  const answer = () => ({
    status: 200,
    headers: {},
    body: JSON.stringify({ keys, revoked: {}, policyVersion: '1' }),
  });
  return {
    asked: () => asked,
    client: {
      call: async () => answer(),
      async callAll() {
        asked += 1;
        return [answer()];
      },
    },
  };
}

test('a key that was made a moment ago is found, however lately the keys were asked for', async () => {
  const keys = [await publicKey('first')];
  const { client, asked } = tokenService(keys);
  const followed = followKeySet(client, createRecordingLog().log);
  opened.push(followed);
  await followed.refresh();
  const before = asked();
  keys.push(await publicKey('second'));
  assert.equal((await followed.keys.find({ alg: 'ES256', kid: 'second' })).id, 'second');
  assert.equal(asked(), before + 1);
});

test('all who name a new key at once find it', async () => {
  const keys = [await publicKey('first')];
  const { client } = tokenService(keys);
  const slowly: InternalClient['callAll'] = async (request) => {
    const answers = await client.callAll(request);
    await new Promise(setImmediate);
    return answers;
  };
  const followed = followKeySet({ ...client, callAll: slowly }, createRecordingLog().log);
  opened.push(followed);
  await followed.refresh();
  keys.push(await publicKey('second'));
  const found = await Promise.all(
    [1, 2, 3].map(() => followed.keys.find({ alg: 'ES256', kid: 'second' })),
  );
  assert.deepEqual(
    found.map(({ id }) => id),
    ['second', 'second', 'second'],
  );
});

test('keys that there are not are asked for once a second at most, whoever names them', async () => {
  const { client, asked } = tokenService([await publicKey('first')]);
  const followed = followKeySet(client, createRecordingLog().log);
  opened.push(followed);
  await followed.refresh();
  const before = asked();
  for (let index = 0; index < 50; index += 1) {
    const header = { alg: 'ES256', kid: `made-up-${index}` };
    await assert.rejects(async () => await followed.keys.find(header), {
      code: 'ERR_JWKS_NO_MATCHING_KEY',
    });
  }
  assert.ok(asked() - before <= 2, `${asked() - before} times`);
});

test('a token service that begins to answer is noticed within a moment', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout', 'Date'] });
  const { client } = tokenService([await publicKey('first')]);
  let there = false;
  const callAll: InternalClient['callAll'] = async (request) =>
    there ? await client.callAll(request) : [];
  const followed = followKeySet({ ...client, callAll }, createRecordingLog().log);
  opened.push(followed);
  for (let passed = 0; passed < 200; passed += 25) {
    await new Promise(setImmediate);
    t.mock.timers.tick(25);
  }
  assert.notEqual(followed.reason(), undefined);
  there = true;
  t.mock.timers.tick(200);
  await new Promise(setImmediate);
  assert.equal(followed.reason(), undefined);
});

test('keys are followed whatever the clock is set to', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  let elapsed = 0;
  t.mock.method(performance, 'now', () => elapsed);
  let clock = 1e12;
  t.mock.method(Date, 'now', () => clock);
  const { client, asked } = tokenService([await publicKey('first')]);
  const followed = followKeySet(client, createRecordingLog().log);
  opened.push(followed);
  await followed.refresh();
  clock -= 600_000;
  const before = asked();
  for (let step = 0; step < 10; step += 1) {
    elapsed += 500;
    t.mock.timers.tick(500);
    await new Promise(setImmediate);
  }
  assert.ok(asked() - before >= 2, `${asked() - before} times in 5 s`);
});

test('a token service that comes a moment later is no news; one that stays away, or goes, is', async () => {
  const keys = [await publicKey('first')];
  const { client } = tokenService(keys);
  let there = false;
  const callAll: InternalClient['callAll'] = async (request) =>
    there ? await client.callAll(request) : [];
  const { log, messages } = createRecordingLog();
  const late = followKeySet({ ...client, callAll }, log);
  opened.push(late);
  await late.refresh();
  there = true;
  await late.refresh();
  assert.deepEqual(messages(), []);
  there = false;
  await late.refresh();
  assert.deepEqual(messages(), ['warn: auth does not answer; known keys stay in use']);
  const never = followKeySet({ ...client, callAll }, log);
  opened.push(never);
  for (let look = 0; look < 15; look += 1) await never.refresh();
  assert.equal(messages()[1], 'warn: auth does not answer; no token can be checked');
});
