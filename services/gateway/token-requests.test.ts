import assert from 'node:assert/strict';
import { afterEach, before, beforeEach, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { internalHeaders } from '#libs/http/internal-headers.ts';
import { type Gateway, startGateway } from '../../test/support/gateway.ts';
import { after, answer, hang } from '../../test/support/scripted-peer.ts';
import { createTokenServer, type TokenServer } from '../../test/support/tokens.ts';

const basic = (password = 'secret') => ({
  Authorization: `Basic ${Buffer.from(`alice:${password}`).toString('base64')}`,
});
const path = '/v2/_token?service=registry.test&scope=repository:a:pull';

describe('requests for a token that come at once', () => {
  let tokens: TokenServer;
  let gateway: Gateway;
  let gate: PromiseWithResolvers<void>;

  before(async () => {
    tokens = await createTokenServer();
  });
  beforeEach(async () => {
    gateway = await startGateway({ verifier: tokens.verifier, trustedProxies: ['127.0.0.1'] });
    gate = Promise.withResolvers();
  });
  afterEach(() => gateway.close());

  const given = (token: string, protocol = 2, status = 200) =>
    answer(status, JSON.stringify({ token }), {
      [internalHeaders.protocol]: String(protocol),
      'Content-Type': 'application/json; charset=utf-8',
      'Cache-Control': 'no-store',
    });
  const ask = (id: string, headers: Record<string, string> = basic(), url = path) =>
    gateway.send('GET', url, {
      headers: { 'X-Request-Id': id, 'X-Forwarded-For': '203.0.113.7', ...headers },
    });
  const seen = () =>
    gateway.auth.requests.map(({ headers }) =>
      [headers[internalHeaders.requestId], headers[internalHeaders.joined]].filter(Boolean).join(),
    );
  /** The first waits at auth, the others for it. */
  async function begin(...ids: string[]) {
    const answers = [];
    for (const id of ids) {
      answers.push(ask(id));
      if (answers.length === 1) await gateway.auth.request(0);
    }
    await sleep(50);
    return answers;
  }
  const tokensOf = async (answers: Awaited<ReturnType<typeof begin>>) =>
    (await Promise.all(answers)).map(({ status, text }) => `${status} ${text}`);

  test('are asked for together behind the first, each under its id', async () => {
    gateway.auth.next(after(gate.promise, given('first')), given('second'));
    const answers = await begin('a', 'b', 'c');
    assert.deepEqual(seen(), ['a']);
    gate.resolve();
    const text = (token: string) => `200 {"token":"${token}"}`;
    assert.deepEqual(await tokensOf(answers), [text('first'), text('second'), text('second')]);
    assert.deepEqual(seen(), ['a', 'b,c']);
    const { headers } = (await answers[2]) as Awaited<ReturnType<typeof ask>>;
    assert.equal(headers['cache-control'], 'no-store');
    assert.equal(headers['content-type'], 'application/json; charset=utf-8');
    assert.equal(headers['x-request-id'], 'c');
    assert.equal(headers[internalHeaders.protocol], undefined);
  });

  for (const [what, act, status] of [
    ['that are refused', given('no', 2, 401), 401],
    ['of a token service that does not tell of them', given('one', 1), 200],
  ] as const) {
    test(`${what} count one by one`, async () => {
      gateway.auth.next(after(gate.promise, act));
      gateway.auth.otherwise(act);
      const answers = await begin('a', 'b', 'c', 'd');
      gate.resolve();
      assert.deepEqual(
        new Set((await Promise.all(answers)).map((one) => one.status)),
        new Set([status]),
      );
      assert.deepEqual(seen().slice(0, 2), ['a', 'b,c,d']);
      assert.deepEqual(seen().slice(2).sort(), ['c', 'd']);
    });
  }

  // A request that waits for another one is not at the token service before that has timed out.
  test('are not the same where anything differs', { timeout: 15_000 }, async () => {
    gateway.auth.otherwise(after(gate.promise, given('x')));
    const long = `${path}&scope=repository:${'long/'.repeat(2000)}b:pull`;
    const answers = [
      ask('1'),
      ask('2', basic('other')),
      ask('3', basic(), `${path}&scope=repository:b:pull`),
      ask('4', { ...basic(), 'X-Forwarded-For': '203.0.113.8' }),
      // An identity token is one for each login.
      ask('5', basic(), `${path}&offline_token=true`),
      ask('6', basic(), `${path}&offline_token=true`),
      // These are limited by their number.
      ask('7', {}),
      ask('8', {}),
      // Beside these there is no room for the ids of others.
      ask('9', basic(), long),
      ask('10', basic(), long),
      // What needs no token is not one.
      ask('11', basic(), '/auth/jwks'),
      ask('12', basic(), '/auth/jwks'),
    ];
    await gateway.auth.request(answers.length - 1);
    gate.resolve();
    await Promise.all(answers);
    assert.deepEqual(new Set(seen()), new Set(answers.map((_, index) => `${index + 1}`)));
  });

  test('come from no client as if from one of us', async () => {
    gateway.auth.otherwise(given('x'));
    await ask('1', { ...basic(), [internalHeaders.joined]: 'forged' });
    await ask('2', { [internalHeaders.joined]: 'forged' });
    await ask('3,4');
    assert.deepEqual(seen().slice(0, 2), ['1', '2']);
    assert.match(String(seen()[2]), /^[0-9a-f-]{36}$/);
  });

  test('have no more time by waiting for others', async () => {
    await gateway.close();
    gateway = await startGateway({ verifier: tokens.verifier, tokenTimeout: 3000 });
    // The first is answered late, and the others are not.
    gateway.auth.next(after(sleep(1500), given('late')));
    gateway.auth.otherwise(hang);
    const ended: string[] = [];
    const send = async (name: string, more = '') => {
      await gateway.send('GET', path + more, { headers: basic() });
      ended.push(name);
    };
    const first = send('first');
    await gateway.auth.request(0);
    const behind = send('behind it');
    await sleep(750);
    await Promise.all([first, behind, send('alone', '&scope=repository:b:pull')]);
    assert.deepEqual(ended, ['first', 'behind it', 'alone']);
  });

  test('are answered with 503 where the token service is away', async () => {
    gateway.auth.next(hang);
    const answers = await begin('a', 'b');
    await gateway.auth.stop();
    assert.deepEqual(
      new Set((await Promise.all(answers)).map((one) => one.status)),
      new Set([503]),
    );
  });
});
