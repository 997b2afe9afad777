import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { type Gateway, startGateway } from '../../test/support/gateway.ts';
import { rawClient } from '../../test/support/raw-client.ts';
import { createTokenServer } from '../../test/support/tokens.ts';

describe('the public URL', () => {
  let direct: Gateway;
  let behind: Gateway;
  let fixed: Gateway;

  before(async () => {
    const { verifier } = await createTokenServer();
    direct = await startGateway({ verifier });
    behind = await startGateway({ verifier, trustedProxies: ['127.0.0.1'], prefix: '/hub' });
    fixed = await startGateway({ verifier, publicUrl: 'https://registry.example.com' });
  });

  after(async () => {
    for (const gateway of [direct, behind, fixed]) await gateway?.close();
  });

  const realm = async (gateway: Gateway, headers: Record<string, string>) => {
    const path = gateway === behind ? '/hub/v2/' : '/v2/';
    const { status, headers: answer } = await gateway.send('GET', path, { headers });
    assert.equal(status, 401);
    return /realm="([^"]+)"/.exec(answer['www-authenticate'] ?? '')?.[1];
  };

  test('is the Host that was asked, by HTTP', async () => {
    assert.equal(await realm(direct, { Host: 'hub.test:8080' }), 'http://hub.test:8080/v2/_token');
    assert.equal(await realm(direct, { Host: '[2001:db8::1]' }), 'http://[2001:db8::1]/v2/_token');
  });

  test('is HTTPS for whoever says that it came by it', async () => {
    const headers = { Host: 'hub.test', 'X-Forwarded-Proto': 'https, http' };
    assert.equal(await realm(direct, headers), 'https://hub.test/v2/_token');
  });

  test('is what a trusted proxy calls it, with the prefix, and of a stranger only the Host', async () => {
    const headers = {
      Host: 'inside',
      'X-Forwarded-Host': 'hub.test',
      'X-Forwarded-Proto': 'https',
    };
    assert.equal(await realm(behind, headers), 'https://hub.test/hub/v2/_token');
    assert.equal(await realm(direct, headers), 'https://inside/v2/_token');
  });

  test('is the configured one, whatever is asked', async () => {
    assert.equal(await realm(fixed, { Host: 'x' }), 'https://registry.example.com/v2/_token');
  });

  for (const host of ['evil.test/path', 'a b', 'user@host', '"', 'a,b', 'x:123456']) {
    test(`a Host ${JSON.stringify(host)} is refused`, async () => {
      const { status, codes } = await direct.send('GET', '/v2/', { headers: { Host: host } });
      assert.deepEqual([status, ...codes], [400, 'REQUEST_INVALID']);
    });
  }

  test('HTTP/1.0 need not name a host', async () => {
    const client = await rawClient(direct.port);
    client.send('GET /v2/ HTTP/1.0\r\n\r\n');
    const answer = await client.untilClosed();
    assert.match(answer, new RegExp(`realm="http://127\\.0\\.0\\.1:${direct.port}/v2/_token"`));
  });
});
