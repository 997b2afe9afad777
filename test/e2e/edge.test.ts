import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { readdir, readlink } from 'node:fs/promises';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { decodeJwt, decodeProtectedHeader, exportJWK, generateKeyPair, SignJWT } from 'jose';
import { startConfigured } from '../support/configured-stack.ts';
import { rawClient } from '../support/raw-client.ts';
import { type Stack, servicePids } from '../support/stack.ts';
import { waitFor } from '../support/wait-for.ts';

const MiB = 1024 * 1024;
const digestOf = (bytes: Buffer) => `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
const basic = `Basic ${Buffer.from('admin:secret').toString('base64')}`;

describe('the edge', () => {
  let stack: Stack;

  before(async () => {
    stack = await startConfigured({
      users: { admin: 'secret' },
      sections: () => ({
        log: { level: 'debug' },
        portcullis: { gateway: { idletimeout: '1500ms', headerstimeout: '1s' } },
      }),
    });
  });

  after(async () => {
    await stack?.remove();
  });

  const startUpload = async () => {
    const response = await fetch(`${stack.url}/v2/team/app/blobs/uploads/`, {
      method: 'POST',
      headers: { Authorization: basic },
    });
    return response.headers.get('location') ?? '';
  };

  const requestIdIn = (answer: string) => /x-request-id: (\S+)/i.exec(answer)?.[1] ?? '';
  const coreSaw = (requestId: string) =>
    stack
      .output()
      .split('\n')
      .some((line) => line.includes('process=core') && line.includes(requestId));

  for (const [how, framing] of [
    ['with a length', 'Content-Length: 1073741824\r\n'],
    ['chunked', 'Transfer-Encoding: chunked\r\n'],
  ] as const) {
    test(`a refused body ${how} is answered, stops within 1 MiB and never reaches the core`, async () => {
      const path = await startUpload();
      const client = await rawClient(stack.port);
      client.send(`PATCH ${path} HTTP/1.1\r\nHost: x\r\n${framing}\r\n`);
      if (how === 'chunked') client.send('40000000\r\n');
      const answer = await client.until(/\r\n\r\n.*\n$/s);
      assert.match(answer, /^HTTP\/1\.1 401 /);
      assert.match(answer, /Connection: close/);
      assert.ok((await client.pour(64 * MiB)) <= MiB);
      await client.untilClosed();
      assert.equal(coreSaw(requestIdIn(answer)), false);
    });
  }

  test('a client that asks first is told to send its body only when it may', async () => {
    const path = await startUpload();
    const head = (authorization: string) =>
      `PATCH ${path} HTTP/1.1\r\nHost: x\r\n${authorization}Expect: 100-continue\r\nContent-Length: 5\r\n\r\n`;
    const stranger = await rawClient(stack.port);
    stranger.send(head(''));
    assert.match(await stranger.until(/HTTP/), /^HTTP\/1\.1 401 /);
    await stranger.untilClosed();
    const user = await rawClient(stack.port);
    user.send(head(`Authorization: ${basic}\r\n`));
    assert.match(await user.until(/100 Continue/), /^HTTP\/1\.1 100 Continue/);
    user.send('hello');
    assert.match(await user.until(/HTTP\/1\.1 202/), /Range: 0-4/);
    user.socket.destroy();
  });

  test('an upload that outlives every timeout but the idle one is taken', async () => {
    const path = await startUpload();
    const client = await rawClient(stack.port);
    client.send(
      `PATCH ${path} HTTP/1.1\r\nHost: x\r\nAuthorization: ${basic}\r\nContent-Length: 8\r\n\r\n`,
    );
    for (const letter of 'abcdefgh') {
      client.send(letter);
      await sleep(500);
    }
    assert.match(await client.until(/HTTP\/1\.1 202/), /Range: 0-7/);
    client.socket.destroy();
  });

  test('an upload that stands still is given up, and goes on later from where it was', async () => {
    const path = await startUpload();
    const client = await rawClient(stack.port);
    client.send(
      `PATCH ${path} HTTP/1.1\r\nHost: x\r\nAuthorization: ${basic}\r\nContent-Length: 8\r\n\r\nabcd`,
    );
    await client.untilClosed();
    const range = await waitFor('the four bytes', async () => {
      const response = await fetch(stack.url + path, { headers: { Authorization: basic } });
      return response.headers.get('range') === '0-3' ? '0-3' : undefined;
    });
    assert.equal(range, '0-3');
    const digest = digestOf(Buffer.from('abcdefgh'));
    const rest = await fetch(`${stack.url}${path}?digest=${digest}`, {
      method: 'PUT',
      headers: { Authorization: basic },
      body: 'efgh',
    });
    assert.equal(rest.status, 201);
  });

  test('headers that come too slowly end the connection', async () => {
    const client = await rawClient(stack.port);
    client.send('GET /v2/ HTTP/1.1\r\nHost: x\r\nX-Slow: ');
    assert.match(await client.untilClosed(), /^(?:HTTP\/1\.1 408 |$)/);
  });

  const malformed: readonly [what: string, request: string][] = [
    [
      'two lengths',
      'POST /v2/ HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab',
    ],
    [
      'a length and chunks',
      'POST /v2/ HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
    ],
    ['a NUL in the path', 'GET /v2/\0/tags/list HTTP/1.1\r\nHost: x\r\n\r\n'],
    ['a NUL in a header', 'GET /v2/ HTTP/1.1\r\nHost: x\r\nX-A: \0\r\n\r\n'],
    ['no request', 'hello\r\n\r\n'],
  ];
  for (const [what, request] of malformed) {
    test(`${what} is 400, and the server lives`, async () => {
      const client = await rawClient(stack.port);
      client.send(request);
      assert.match(await client.untilClosed(), /^HTTP\/1\.1 400 /);
      assert.equal((await fetch(`${stack.url}/`)).status, 200);
    });
  }

  for (const target of ['http://[', 'http://a:abc/v2/', '//[', 'http://[::1/v2/']) {
    test(`a request for ${target} is refused, and the server lives`, async () => {
      const client = await rawClient(stack.port);
      client.send(`GET ${target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`);
      assert.match(await client.untilClosed(), /^HTTP\/1\.1 40[04] /);
      assert.equal((await fetch(`${stack.url}/`)).status, 200);
      assert.doesNotMatch(stack.output(), /a process died/);
    });
  }

  test('no body is ever read as the next request by the processes behind', async () => {
    const upload = await startUpload();
    const targets: readonly [method: string, path: string][] = [
      ['GET', '/v2/team/app/tags/list'],
      ['HEAD', '/v2/team/app/tags/list'],
      ['DELETE', `/v2/team/app/blobs/sha256:${'0'.repeat(64)}`],
      ['POST', '/v2/team/app/blobs/uploads/'],
      ['PATCH', upload],
      ['PUT', '/v2/team/app/manifests/x'],
      ['GET', '/v2/_token'],
      ['POST', '/v2/_token'],
      ['OPTIONS', '/v2/'],
    ];
    const framings = ['length', 'chunked'].flatMap((framing) =>
      ['', 'Connection: content-length\r\n', 'Connection: transfer-encoding\r\n'].map(
        (listed) => [framing, listed] as const,
      ),
    );
    await Promise.all(
      targets.flatMap(([method, path]) =>
        framings.map(async ([framing, listed]) => {
          const inner = `GET /v2/smuggled/tags/list HTTP/1.1\r\nHost: x\r\nX-Request-Id: smuggled\r\n\r\n`;
          const [header, body] =
            framing === 'length'
              ? [`Content-Length: ${inner.length}`, inner]
              : [
                  'Transfer-Encoding: chunked',
                  `${inner.length.toString(16)}\r\n${inner}\r\n0\r\n\r\n`,
                ];
          const client = await rawClient(stack.port);
          client.send(
            `${method} ${path} HTTP/1.1\r\nHost: x\r\nAuthorization: ${basic}\r\n${listed}${header}\r\n\r\n${body}`,
          );
          assert.match(await client.until(/HTTP\/1\.1 \d/), /^HTTP\/1\.1 \d/);
          client.socket.destroy();
        }),
      ),
    );
    // A request of its own on every kept connection would flush out what still lies there.
    for (let count = 0; count < 20; count += 1) {
      await fetch(`${stack.url}/v2/_catalog`, { headers: { Authorization: basic } });
    }
    assert.doesNotMatch(stack.output(), /smuggled/);
  });

  test('headers over the limit are 431', async () => {
    const client = await rawClient(stack.port);
    client.send(`GET /v2/ HTTP/1.1\r\nHost: x\r\nX-A: ${'a'.repeat(20_000)}\r\n\r\n`);
    assert.match(await client.untilClosed(), /^HTTP\/1\.1 431 /);
  });

  test('bad names, digests, tags and page sizes get the code of the specification', async () => {
    const get = async (path: string, method = 'GET') => {
      const client = await rawClient(stack.port);
      client.send(
        `${method} ${path} HTTP/1.1\r\nHost: x\r\nAuthorization: ${basic}\r\nConnection: close\r\n\r\n`,
      );
      const answer = await client.untilClosed();
      return `${/ (\d{3}) /.exec(answer)?.[1]} ${/"code":"([A-Z_]+)"/.exec(answer)?.[1]}`;
    };
    const hex = 'a'.repeat(64);
    assert.equal(await get('/v2/Team/app/tags/list'), '400 NAME_INVALID');
    assert.equal(await get('/v2/team/../app/tags/list'), '400 NAME_INVALID');
    assert.equal(await get('/v2/team%2Fapp/tags/list'), '400 NAME_INVALID');
    assert.equal(await get(`/v2/${'a'.repeat(300)}/tags/list`), '400 NAME_INVALID');
    assert.equal(await get('/v2/team%00/tags/list'), '400 NAME_INVALID');
    assert.equal(await get('/v2/team/app/blobs/sha256:abc'), '400 DIGEST_INVALID');
    assert.equal(await get(`/v2/team/app/blobs/md5:${hex}`), '400 DIGEST_INVALID');
    assert.equal(await get(`/v2/team/app/blobs/sha256:${hex}`), '404 BLOB_UNKNOWN');
    assert.equal(await get('/v2/team/app/manifests/-bad', 'PUT'), '400 TAG_INVALID');
    assert.equal(await get('/v2/team/app/manifests/-bad'), '404 MANIFEST_UNKNOWN');
    assert.equal(await get('/v2/_catalog?n=-1'), '400 PAGINATION_NUMBER_INVALID');
    assert.equal(await get('/v2/_catalog?n=abc'), '400 PAGINATION_NUMBER_INVALID');
    assert.equal(await get('/v2/_catalog?n=0'), '200 undefined');
    assert.equal(await get('/v2/team/app/nothing'), '404 NOT_FOUND');
    assert.equal(await get('/internal/trust'), '404 NOT_FOUND');
    assert.equal(await get('/v2/', 'DELETE'), '405 UNSUPPORTED');
  });

  test('a token is good for what it grants, and clients are told which way it fell short', async () => {
    const issued = await fetch(`${stack.url}/v2/_token?scope=repository:team/app:pull`, {
      headers: { Authorization: basic },
    });
    const { token } = (await issued.json()) as { token: string };
    const ask = async (bearer: string, path: string, method = 'GET') => {
      const answer = await fetch(stack.url + path, {
        method,
        headers: { Authorization: `Bearer ${bearer}` },
      });
      return `${answer.status} ${/error="(\w+)"/.exec(answer.headers.get('www-authenticate') ?? '')?.[1]}`;
    };
    const uploads = '/v2/team/app/blobs/uploads/';
    assert.equal(await ask(token, '/v2/'), '200 undefined');
    assert.equal(await ask(token, uploads, 'POST'), '401 insufficient_scope');
    assert.equal(await ask(token, '/v2/team/other/tags/list'), '401 insufficient_scope');
    assert.equal(await ask(token, '/v2/_catalog'), '401 insufficient_scope');
    const [, payload, signature] = token.split('.');
    const none = Buffer.from('{"alg":"none","typ":"JWT"}').toString('base64url');
    assert.equal(await ask(`${none}.${payload}.`, '/v2/'), '401 invalid_token');
    assert.equal(await ask(`${none}.${payload}.${signature}`, '/v2/'), '401 invalid_token');
    assert.equal(await ask('nonsense', '/v2/'), '401 invalid_token');
    const own = await generateKeyPair('ES256', { extractable: true });
    const jwk = await exportJWK(own.publicKey);
    for (const header of [{}, { jwk }, { jku: `${stack.url}/keys` }]) {
      const forged = await new SignJWT(decodeJwt(token))
        .setProtectedHeader({ ...decodeProtectedHeader(token), alg: 'ES256', ...header })
        .sign(own.privateKey);
      assert.equal(await ask(forged, '/v2/'), '401 invalid_token', JSON.stringify(header));
    }
  });

  test('what only our processes may say is not taken from a client', async () => {
    const response = await fetch(`${stack.url}/v2/_catalog`, {
      headers: {
        Authorization: basic,
        'X-Request-Id': 'forged',
        'X-Portcullis-Client': '203.0.113.1',
        'X-Forwarded-For': '203.0.113.2',
      },
    });
    assert.equal(response.status, 200);
    const requestId = response.headers.get('x-request-id') ?? '';
    assert.notEqual(requestId, 'forged');
    await waitFor('both access lines', () =>
      ['core', 'gateway'].every((name) =>
        stack
          .output()
          .split('\n')
          .some((line) => line.includes(`process=${name}`) && line.includes(requestId)),
      ),
    );
    assert.doesNotMatch(stack.output(), /203\.0\.113\.|forged/);
    const warnings = stack.output().match(/ignoring X-Forwarded-For of a proxy that is not in/g);
    assert.equal(warnings?.length, 1, 'the operator is told, once');
    const silent = stack.output().match(/a proxy sends no X-Forwarded-Proto/g);
    assert.equal(silent?.length, 1, 'and that clients are sent to plain http');
  });

  test('clients that leave in the middle of a download leave no file open', async () => {
    const blob = randomBytes(32 * MiB);
    const path = await startUpload();
    const put = await fetch(`${stack.url}${path}?digest=${digestOf(blob)}`, {
      method: 'PUT',
      headers: { Authorization: basic },
      body: blob,
    });
    assert.equal(put.status, 201);
    const supervisor = stack.child.pid ?? 0;
    const pids = await Promise.all(
      ['core', 'gateway'].map(async (service) => await servicePids(supervisor, service)),
    );
    // Of whichever of the two reads them.
    const openBlobs = async () => {
      const files = await Promise.all(
        pids.flat().map(async (pid) => {
          const names = await readdir(`/proc/${pid}/fd`);
          const links = names.map((name) => readlink(`/proc/${pid}/fd/${name}`).catch(() => ''));
          return (await Promise.all(links)).filter((path) => path.includes('/blobs/'));
        }),
      );
      return files.flat().length;
    };
    await Promise.all(
      Array.from({ length: 50 }, async () => {
        const client = await rawClient(stack.port);
        client.send(
          `GET /v2/team/app/blobs/${digestOf(blob)} HTTP/1.1\r\nHost: x\r\nAuthorization: ${basic}\r\n\r\n`,
        );
        await client.until(/200 OK/);
        client.socket.destroy();
      }),
    );
    await waitFor('the files to be closed', async () => (await openBlobs()) === 0);
  });

  test('no password and no token stands in the log', () => {
    assert.doesNotMatch(stack.output(), /secret\b|eyJ|YWRtaW46/);
  });
});
