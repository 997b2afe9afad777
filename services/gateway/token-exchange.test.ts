import assert from 'node:assert/strict';
import { afterEach, before, beforeEach, describe, test } from 'node:test';
import { internalHeaders } from '#libs/http/internal-headers.ts';
import { type Gateway, startGateway } from '../../test/support/gateway.ts';
import { type Act, answer, cut, garbage, half } from '../../test/support/scripted-peer.ts';
import { createTokenServer, may, type TokenServer } from '../../test/support/tokens.ts';

const basic = { Authorization: `Basic ${Buffer.from('alice:secret').toString('base64')}` };
const tags = '/v2/public/app/tags/list';

describe('the exchange of credentials for a token', () => {
  let tokens: TokenServer;
  let gateway: Gateway;

  before(async () => {
    tokens = await createTokenServer();
  });

  beforeEach(async () => {
    gateway = await startGateway({ verifier: tokens.verifier, trustedProxies: ['127.0.0.1'] });
  });

  afterEach(async () => {
    await gateway.close();
  });

  const grant = async (subject: string): Promise<Act> =>
    answer(
      200,
      JSON.stringify({
        token: await tokens.issue({ subject, access: [may('public/app', 'pull')] }),
      }),
    );
  const from = (address: string, headers: Record<string, string> = {}) => ({
    headers: { 'X-Forwarded-For': address, ...headers },
  });

  test('tells auth who the client is', async () => {
    gateway.auth.next(await grant('alice'));
    await gateway.send('GET', tags, from('203.0.113.7', basic));
    assert.equal(gateway.auth.requests[0]?.headers[internalHeaders.clientAddress], '203.0.113.7');
  });

  test('a wrong password is 401, and the core never hears of it', async () => {
    gateway.auth.next(answer(401, '{}'));
    const refused = await gateway.send('GET', tags, { headers: basic });
    assert.deepEqual([refused.status, ...refused.codes], [401, 'UNAUTHORIZED']);
    assert.match(refused.text, /incorrect username or password/);
    assert.equal(gateway.core.requests.length, 0);
  });

  test('a limited caller is told 429 and when to come back, be the password right or wrong', async () => {
    gateway.auth.next(answer(429, '{}', { 'Retry-After': '17' }));
    const refused = await gateway.send('GET', tags, { headers: basic });
    assert.deepEqual([refused.status, ...refused.codes], [429, 'TOOMANYREQUESTS']);
    assert.equal(refused.headers['retry-after'], '17');
    assert.equal(gateway.core.requests.length, 0);
  });

  test('a password is asked about each time: nothing right is remembered at the edge', async () => {
    gateway.auth.next(await grant('alice'), answer(429, '{}', { 'Retry-After': '1' }));
    assert.equal((await gateway.send('GET', tags, { headers: basic })).status, 200);
    assert.equal((await gateway.send('GET', tags, { headers: basic })).status, 429);
  });

  test('nobody’s token is used again, by the same client for the same thing only', async () => {
    gateway.auth.otherwise(await grant(''));
    await gateway.send('GET', tags, from('203.0.113.7'));
    await gateway.send('GET', tags, from('203.0.113.7'));
    assert.equal(gateway.auth.requests.length, 1);
    await gateway.send('GET', tags, from('203.0.113.8'));
    assert.equal(gateway.auth.requests.length, 2);
    await gateway.send('GET', '/v2/public/app/manifests/v1', from('203.0.113.7'));
    assert.equal(gateway.auth.requests.length, 2);
    assert.equal(
      (await gateway.send('GET', '/v2/public/other/tags/list', from('203.0.113.7'))).status,
      401,
    );
    assert.equal(gateway.auth.requests.length, 3);
  });

  const failures: readonly [what: string, act: Act][] = [
    ['cuts the connection', cut],
    ['answers half', half('{"tok', 100)],
    ['answers garbage', garbage],
    ['answers 503', answer(503, '{}')],
    ['answers 500', answer(500, 'oops')],
  ];
  for (const [what, act] of failures) {
    test(`an auth that ${what} is 503, for a password and for nobody`, async () => {
      gateway.auth.otherwise(act);
      for (const headers of [basic, {}]) {
        const refused = await gateway.send('GET', tags, { headers });
        assert.deepEqual([refused.status, ...refused.codes], [503, 'UNAVAILABLE']);
        assert.notEqual(refused.headers['retry-after'], undefined);
        assert.doesNotMatch(refused.text, /secret|oops/);
      }
      assert.equal(gateway.core.requests.length, 0);
    });
  }

  test('an auth that failed is asked again at the next request', async () => {
    gateway.auth.next(answer(503, '{}'), await grant('alice'));
    assert.equal((await gateway.send('GET', tags, { headers: basic })).status, 503);
    assert.equal((await gateway.send('GET', tags, { headers: basic })).status, 200);
  });

  test('the token endpoint is handed on as it is, with the client’s own credentials', async () => {
    gateway.auth.next(answer(200, '{"token":"x"}', { 'Content-Type': 'application/json' }));
    const { status, text } = await gateway.send('GET', '/v2/_token?service=registry.test', {
      headers: basic,
    });
    assert.deepEqual([status, text], [200, '{"token":"x"}']);
    assert.equal(gateway.auth.requests[0]?.url, '/v2/_token?service=registry.test');
    assert.equal(gateway.auth.requests[0]?.headers.authorization, basic.Authorization);
  });
});
