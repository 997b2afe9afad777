import assert from 'node:assert/strict';
import { copyFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { startConfigured } from '../support/configured-stack.ts';
import { mustRun, run } from '../support/run.ts';
import { launcher, type Stack } from '../support/stack.ts';
import { waitFor } from '../support/wait-for.ts';

const users = { admin: 'secret' };
const basic = `Basic ${Buffer.from('admin:secret').toString('base64')}`;
const as = { headers: { Authorization: basic } };

/** The subject alternative names of the certificate that a port shows. */
async function namesAt(port: number): Promise<string> {
  const { stdout } = await run('sh', [
    '-c',
    `openssl s_client -connect 127.0.0.1:${port} </dev/null 2>/dev/null | openssl x509 -noout -ext subjectAltName`,
  ]);
  return stdout;
}

describe('TLS', () => {
  let stack: Stack;
  let certificates: string;

  before(async () => {
    stack = await startConfigured({
      sections: (dir) => {
        certificates = join(dir, 'certs');
        return {
          http: {
            addr: '127.0.0.1:0',
            tls: {
              certificate: join(certificates, 'site.crt'),
              key: join(certificates, 'site.key'),
              ciphersuites: ['TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256', 'TLS_AES_128_GCM_SHA256'],
            },
          },
        };
      },
      prepare: async () => {
        await mustRun(launcher, ['certs', certificates, 'localhost']);
      },
    });
  });

  after(async () => {
    await stack?.remove();
  });

  const port = () => Number(/ready at https:\/\/[^:]+:(\d+)/.exec(stack.output())?.[1]);
  const handshake = async (...args: string[]) =>
    (await run('openssl', ['s_client', '-connect', `127.0.0.1:${port()}`, ...args])).stdout;

  test('1.2 and 1.3 are spoken with the configured suites, and nothing older', async () => {
    assert.match(await handshake('-tls1_2'), /Cipher is ECDHE-ECDSA-AES128-GCM-SHA256/);
    assert.match(await handshake('-tls1_3'), /Cipher is TLS_AES_128_GCM_SHA256/);
    assert.match(
      await handshake('-tls1_2', '-cipher', 'ECDHE-ECDSA-AES256-GCM-SHA384'),
      /Cipher is \(NONE\)/,
    );
    assert.match(await handshake('-tls1_1', '-cipher', 'ALL:@SECLEVEL=0'), /Cipher is \(NONE\)/);
  });

  test('a renewed certificate is taken while it runs', async () => {
    assert.doesNotMatch(await namesAt(port()), /renewed\.example/);
    await mustRun(launcher, ['certs', certificates, 'localhost', 'renewed.example']);
    await waitFor('the new certificate', async () =>
      (await namesAt(port())).includes('DNS:renewed.example'),
    );
  });

  test('a useless certificate is reported, and the old one stays', async () => {
    await copyFile('/dev/null', join(certificates, 'site.crt'));
    await waitFor('the report', () => stack.output().includes('keeping the previous state'));
    assert.match(await namesAt(port()), /renewed\.example/);
  });
});

describe('prefix, host and headers', () => {
  let stack: Stack;
  let base: string;

  before(async () => {
    stack = await startConfigured({
      users,
      http: {
        prefix: '/team/',
        headers: { 'X-Content-Type-Options': ['nosniff'], 'Access-Control-Allow-Origin': ['*'] },
      },
    });
    base = `${stack.url}/team`;
  });

  after(async () => {
    await stack?.remove();
  });

  test('realm, Location and Link carry the prefix, and nothing is served without it', async () => {
    const challenge = (await fetch(`${base}/v2/`)).headers.get('www-authenticate') ?? '';
    assert.match(challenge, new RegExp(`realm="${base}/v2/_token"`));
    const started = await fetch(`${base}/v2/a/blobs/uploads/`, { method: 'POST', ...as });
    assert.match(started.headers.get('location') ?? '', /^\/team\/v2\/a\/blobs\/uploads\//);
    for (const name of ['b', 'c']) {
      await fetch(`${base}/v2/${name}/blobs/uploads/?digest=${emptyDigest}`, {
        method: 'POST',
        ...as,
      });
    }
    const page = await fetch(`${base}/v2/_catalog?n=1`, as);
    assert.equal(page.headers.get('link'), '</team/v2/_catalog?n=1&last=b>; rel="next"');
    assert.equal((await fetch(`${stack.url}/v2/`)).status, 404);
    assert.equal((await fetch(`${base}/v2/_token`, as)).status, 200);
  });

  test('configured headers come with every answer, a refusal too', async () => {
    for (const path of ['/team/v2/', '/', '/nothing']) {
      const { headers } = await fetch(stack.url + path);
      assert.equal(headers.get('x-content-type-options'), 'nosniff', path);
    }
  });

  test('a preflight request is answered before anybody asks for a login', async () => {
    const answer = await fetch(`${base}/v2/_catalog`, { method: 'OPTIONS' });
    assert.equal(answer.status, 204);
    assert.equal(answer.headers.get('access-control-allow-origin'), '*');
  });

  test('another site’s page cannot change anything with a remembered password', async () => {
    const answer = await fetch(`${base}/v2/a/blobs/uploads/`, {
      method: 'POST',
      headers: { Authorization: basic, 'Sec-Fetch-Site': 'cross-site' },
    });
    assert.equal(answer.status, 403);
  });
});

const emptyDigest = 'sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855';

describe('an open registry behind a fixed host', () => {
  let stack: Stack;

  before(async () => {
    stack = await startConfigured({ http: { host: 'https://registry.example.com' } });
  });

  after(async () => {
    await stack?.remove();
  });

  test('asks nobody for a login, and says so loudly', async () => {
    const base = await fetch(`${stack.url}/v2/`);
    assert.equal(base.status, 200);
    assert.equal(await base.text(), '{}');
    assert.equal((await fetch(`${stack.url}/v2/_catalog`)).status, 200);
    assert.match(stack.output(), /level=warn .*everyone who can reach this registry/);
  });

  test('answers 404 where there would be a token service', async () => {
    assert.equal((await fetch(`${stack.url}/v2/_token`)).status, 404);
  });

  test('writes one access line for each request', async () => {
    const id = (await fetch(`${stack.url}/v2/_catalog?n=5`)).headers.get('x-request-id') ?? '';
    const lines = await waitFor('the line', () => {
      const found = stack
        .output()
        .split('\n')
        .filter((line) => line.includes(id));
      return found.length > 0 ? found : undefined;
    });
    assert.equal(lines.length, 1);
    assert.match(lines[0] ?? '', /method=GET path=\/v2\/_catalog status=200 .*route=catalog/);
  });
});

test('a fixed host stands in the realm, whatever the request says', async () => {
  const stack = await startConfigured({ users, http: { host: 'https://registry.example.com' } });
  try {
    const { headers } = await fetch(`${stack.url}/v2/`);
    assert.match(
      headers.get('www-authenticate') ?? '',
      /realm="https:\/\/registry\.example\.com\/v2\/_token"/,
    );
  } finally {
    await stack.remove();
  }
});
