import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, request, type Server } from 'node:https';
import { after, before, describe, test } from 'node:test';
import { connect } from 'node:tls';
import { createCertificate } from '../../test/support/certificate.ts';
import { type Gateway, startGateway } from '../../test/support/gateway.ts';
import { rawClient } from '../../test/support/raw-client.ts';
import { createTokenServer } from '../../test/support/tokens.ts';
import { publicUrl } from './public-url.ts';

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

describe('the configured URL', () => {
  const fixed = 'https://registry.example.com';
  let server: Server;
  let port: number;

  before(async () => {
    const { cert, key } = await createCertificate();
    server = createServer({ cert, key }, (incoming, response) => {
      response.end(publicUrl(incoming, fixed, false));
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    ({ port } = server.address() as { port: number });
  });

  after(() => server.close());

  /** @param sni the name whose certificate the client asks for; empty: of none */
  const ask = async (sni: string, host: string, headers: Record<string, string> = {}) => {
    const asking = request({
      ...{ host: '127.0.0.1', port, servername: sni, rejectUnauthorized: false },
      ...{ headers: { Host: host, ...headers }, agent: false },
    });
    asking.end();
    const [response] = (await once(asking, 'response')) as [AsyncIterable<Buffer>];
    let text = '';
    for await (const bytes of response) text += bytes;
    return text;
  };

  test('gives way to the name by which a client came directly, over TLS', async () => {
    assert.equal(await ask('hub.internal', 'hub.internal:5000'), 'https://hub.internal:5000');
    assert.equal(await ask('localhost', 'LocalHost'), 'https://LocalHost');
  });

  test('gives way to our address, for which clients ask for no name', async () => {
    assert.equal(await ask('', `127.0.0.1:${port}`), `https://127.0.0.1:${port}`);
    assert.equal(await ask('', '10.9.8.7'), fixed);
    // As nginx asks, unless it is told otherwise.
    const socket = connect({ host: '127.0.0.1', port, rejectUnauthorized: false });
    socket.write('GET / HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n');
    let text = '';
    for await (const bytes of socket) text += bytes;
    assert.ok(text.endsWith(fixed), text);
  });

  test('stands for whoever comes by a proxy, or under two names', async () => {
    for (const header of ['Via', 'Forwarded', 'X-Forwarded-For', 'X-Forwarded-Host', 'X-Real-IP']) {
      assert.equal(await ask('hub.internal', 'hub.internal', { [header]: 'x' }), fixed, header);
    }
    assert.equal(await ask('other.internal', 'hub.internal'), fixed);
    assert.equal(await ask('hub.internal', 'hub.internal/x'), fixed);
  });
});
