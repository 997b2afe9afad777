import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { internalHeaders } from '#libs/http/internal-headers.ts';
import { type Gateway, startGateway } from '../../test/support/gateway.ts';

describe('the client’s address', () => {
  let direct: Gateway;
  let behind: Gateway;

  before(async () => {
    direct = await startGateway();
    behind = await startGateway({ trustedProxies: ['127.0.0.1', '10.0.0.0/8', '2001:db8::/32'] });
  });

  after(async () => {
    for (const gateway of [direct, behind]) await gateway?.close();
  });

  /** What the core is told. */
  const told = async (gateway: Gateway, headers: Record<string, string> = {}) => {
    await gateway.send('GET', '/v2/', { headers });
    return gateway.core.requests.at(-1)?.headers ?? {};
  };
  const client = async (gateway: Gateway, forwarded?: string) =>
    (await told(gateway, forwarded === undefined ? {} : { 'X-Forwarded-For': forwarded }))[
      internalHeaders.clientAddress
    ];

  test('is the peer’s where no proxy is trusted, whatever it claims', async () => {
    assert.equal(await client(direct, '203.0.113.7'), '127.0.0.1');
    const warnings = direct.messages().filter((line) => line.includes('trustedproxies'));
    assert.equal(warnings.length, 1);
    await client(direct, '203.0.113.8');
    assert.equal(direct.messages().filter((line) => line.includes('trustedproxies')).length, 1);
  });

  test('is the last hop that is none of our proxies', async () => {
    assert.equal(await client(behind), '127.0.0.1');
    assert.equal(await client(behind, '203.0.113.7'), '203.0.113.7');
    assert.equal(await client(behind, '198.51.100.1, 203.0.113.7, 10.1.2.3'), '203.0.113.7');
    assert.equal(await client(behind, '198.51.100.1, 2001:db8::5'), '198.51.100.1');
    assert.equal(await client(behind, '::ffff:203.0.113.7'), '203.0.113.7');
    assert.equal(await client(behind, '198.51.100.1, 203.0.113.7:5000'), '203.0.113.7');
    assert.equal(await client(behind, '[2001:db9::5]:5000, 10.1.2.3:80'), '2001:db9::5');
    assert.equal(await client(behind, '[2001:db9::5]'), '2001:db9::5');
  });

  test('is the last that can be read, where something else stands there', async () => {
    assert.equal(await client(behind, '203.0.113.7, unknown, 10.1.2.3'), '10.1.2.3');
    assert.equal(await client(behind, 'unknown'), '127.0.0.1');
  });

  test('and everything else that is internal, a client cannot say', async () => {
    const headers = await told(direct, {
      [internalHeaders.clientAddress]: '203.0.113.7',
      [internalHeaders.requestId]: 'mine',
      [internalHeaders.signature]: 'forged',
      'X-Portcullis-Anything': 'x',
      Cookie: 'a=b',
    });
    assert.equal(headers[internalHeaders.clientAddress], '127.0.0.1');
    assert.notEqual(headers[internalHeaders.requestId], 'mine');
    assert.equal(headers[internalHeaders.signature], undefined);
    assert.equal(headers['x-portcullis-anything'], undefined);
    assert.equal(headers.cookie, undefined);
  });

  test('a trusted proxy’s request id is kept, if it is one', async () => {
    const id = async (given: string) => {
      const headers = { [internalHeaders.requestId]: given };
      return (await behind.send('GET', '/v2/', { headers })).headers['x-request-id'];
    };
    assert.equal(await id('edge-1:7'), 'edge-1:7');
    assert.notEqual(await id('a b'), 'a b');
    assert.notEqual(await id('x'.repeat(101)), 'x'.repeat(101));
  });
});
