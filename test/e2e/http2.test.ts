import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readdir, readFile } from 'node:fs/promises';
import { get as httpsGet } from 'node:https';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { connect as tlsConnect } from 'node:tls';
import { startConfigured } from '../support/configured-stack.ts';
import { type Http2Client, http2Client, takeAnswer } from '../support/http2-client.ts';
import { writeOciLayout } from '../support/oci-layout.ts';
import { mustRun, run } from '../support/run.ts';
import { prepareSkopeo } from '../support/skopeo.ts';
import { launcher, type Stack, servicePids } from '../support/stack.ts';
import { waitFor } from '../support/wait-for.ts';

const MiB = 1024 * 1024;
const users = { admin: 'secret' };
const http = { http2: { disabled: false } };
const Authorization = `Basic ${Buffer.from('admin:secret').toString('base64')}`;
const as = { Authorization };
const digestOf = (bytes: Buffer) => `sha256:${createHash('sha256').update(bytes).digest('hex')}`;

/** Pushes a blob by POST and PUT, and gives its path. */
async function push(client: Http2Client, blob: Buffer): Promise<string> {
  const started = await client.ask('POST', '/v2/team/app/blobs/uploads/', { headers: as });
  const put = await client.ask('PUT', `${started.headers.location}?digest=${digestOf(blob)}`, {
    headers: { ...as, 'content-type': 'application/octet-stream' },
    body: blob,
  });
  assert.equal(put.status, 201);
  assert.equal(put.headers.location, `/v2/team/app/blobs/${digestOf(blob)}`);
  return put.headers.location;
}

async function openFiles(stack: Stack, service: string): Promise<number> {
  const [pid = 0] = await servicePids(stack.child.pid ?? 0, service);
  return (await readdir(`/proc/${pid}/fd`)).length;
}

describe('HTTP/2', () => {
  let stack: Stack;
  let client: Http2Client;

  before(async () => {
    stack = await startConfigured({ tls: true, users, http });
    client = await http2Client(stack);
  });

  after(async () => {
    client?.close();
    await stack?.remove();
  });

  test('comes with its windows and its number of streams', async () => {
    const { remoteSettings, socket } = client.session;
    assert.equal((socket as unknown as { alpnProtocol: string }).alpnProtocol, 'h2');
    assert.equal(remoteSettings.initialWindowSize, MiB / 2);
    assert.equal(remoteSettings.maxConcurrentStreams, 100);
    const window = () => client.session.state.remoteWindowSize ?? 0;
    await waitFor('the window of the session', () => window() >= MiB);
  });

  test('an image is pushed and pulled with a token that the challenge led to', async () => {
    const refused = await client.ask('GET', '/v2/');
    assert.equal(refused.status, 401);
    const realm = /realm="([^"]+)"/.exec(String(refused.headers['www-authenticate']))?.[1];
    assert.equal(realm, `https://localhost:${stack.port}/v2/_token`);
    const scope = '?scope=repository:team/app:pull,push';
    const issued = await client.ask('GET', `/v2/_token${scope}`, { headers: as });
    const { token } = JSON.parse(`${issued.body}`) as { token: string };
    const bearer = { Authorization: `Bearer ${token}` };

    const config = Buffer.from('{}');
    await push(client, config);
    const type = 'application/vnd.oci.image.manifest.v1+json';
    const descriptor = (bytes: Buffer, mediaType: string) => ({
      mediaType,
      digest: digestOf(bytes),
      size: bytes.length,
    });
    const manifest = Buffer.from(
      JSON.stringify({
        schemaVersion: 2,
        mediaType: type,
        config: descriptor(config, 'application/vnd.oci.image.config.v1+json'),
        layers: [],
      }),
    );
    const put = await client.ask('PUT', '/v2/team/app/manifests/v1', {
      headers: { ...bearer, 'content-type': type },
      body: manifest,
    });
    assert.equal(put.status, 201, `${put.body}`);
    assert.equal(put.headers.location, `/v2/team/app/manifests/${digestOf(manifest)}`);
    const pulled = await client.ask('GET', '/v2/team/app/manifests/v1', { headers: bearer });
    assert.deepEqual(pulled.body, manifest);
    assert.equal(pulled.headers['content-type'], type);
    const looked = await client.ask('HEAD', '/v2/team/app/manifests/v1', { headers: bearer });
    assert.equal(looked.status, 200);
    assert.equal(looked.headers['content-length'], String(manifest.length));
    assert.equal(looked.body.length, 0);
    const known = { ...bearer, 'if-none-match': `"${digestOf(manifest)}"` };
    const same = await client.ask('GET', '/v2/team/app/manifests/v1', { headers: known });
    assert.equal(same.status, 304);
  });

  test('50 MB come and go unchanged, in one body, in chunks and in ranges', async () => {
    const blob = randomBytes(50_000_000);
    const whole = await client.ask('GET', await push(client, blob), { headers: as });
    assert.ok(whole.body.equals(blob));
    assert.equal(whole.rstCode, 0);

    const reversed = Buffer.from(blob).reverse();
    const started = await client.ask('POST', '/v2/team/app/blobs/uploads/', { headers: as });
    let path = String(started.headers.location);
    // The first without a length, as a client sends what it does not know the end of.
    const stream = client.open('PATCH', path, as);
    stream.end(reversed.subarray(0, 30_000_000));
    const first = await takeAnswer(stream);
    assert.equal(first.headers.range, '0-29999999');
    path = String(first.headers.location);
    const put = await client.ask('PUT', `${path}?digest=${digestOf(reversed)}`, {
      headers: { ...as, 'content-length': 20_000_000 },
      body: reversed.subarray(30_000_000),
    });
    assert.equal(put.status, 201, `${put.body}`);
    const part = await client.ask('GET', `/v2/team/app/blobs/${digestOf(reversed)}`, {
      headers: { ...as, range: 'bytes=20000000-40000009' },
    });
    assert.equal(part.status, 206);
    assert.ok(part.body.equals(reversed.subarray(20_000_000, 40_000_010)));
  });

  test('the authority is the host, whatever a Host header says', async () => {
    const realm = async (headers: Record<string, string>) =>
      /realm="([^"]+)"/.exec(
        String((await client.ask('GET', '/v2/', { headers })).headers['www-authenticate']),
      )?.[1];
    assert.equal(
      await realm({ ':authority': 'registry.example.com', host: 'evil.example.com' }),
      'https://registry.example.com/v2/_token',
    );
    const bad = await client.ask('GET', '/v2/', { headers: { ':authority': 'a b' } });
    assert.ok(bad.status === 400 || bad.rstCode !== 0);
  });

  test('no header of a connection is sent, and what a client says of it stays at the gateway', async () => {
    const { headers } = await client.ask('GET', '/v2/', { headers: { ...as, te: 'trailers' } });
    for (const name of ['connection', 'keep-alive', 'transfer-encoding', 'upgrade']) {
      assert.equal(headers[name], undefined, name);
    }
  });

  for (const [what, path, headers, status] of [
    [
      'for want of a login',
      '/v2/team/app/blobs/uploads/00000000-0000-4000-8000-000000000000',
      {},
      401,
    ],
    ['by the core', '/v2/team/app/blobs/uploads/00000000-0000-4000-8000-000000000000', as, 404],
    ['for its size', '/v2/team/app/manifests/v1', { ...as, 'content-length': 2 ** 30 }, 413],
  ] as const) {
    test(`a body refused ${what} is answered whole, stopped, and the session goes on`, async () => {
      const stream = client.open(status === 413 ? 'PUT' : 'PATCH', path, headers);
      let sent = 0;
      const pour = () => {
        while (!stream.destroyed && !stream.closed && sent < 64 * MiB) {
          sent += 64 * 1024;
          if (!stream.write(Buffer.alloc(64 * 1024))) {
            stream.once('drain', pour);
            return;
          }
        }
      };
      pour();
      const answer = await takeAnswer(stream);
      assert.equal(answer.status, status);
      assert.equal(answer.headers['content-length'], String(answer.body.length));
      assert.match(`${answer.body}`, /"errors"/);
      assert.equal(answer.rstCode, 0);
      assert.ok(sent < 64 * MiB, `${sent} bytes were taken`);
      assert.equal((await client.ask('GET', '/v2/', { headers: as })).status, 200);
    });
  }

  test('a client that asks first is told to send its body only when it may', async () => {
    const started = await client.ask('POST', '/v2/team/app/blobs/uploads/', { headers: as });
    const path = String(started.headers.location);
    const expect = { expect: '100-continue', 'content-length': 5 };
    const stranger = client.open('PATCH', path, expect);
    let told = false;
    stranger.once('continue', () => {
      told = true;
    });
    assert.equal((await takeAnswer(stranger)).status, 401);
    assert.equal(told, false);
    const user = client.open('PATCH', path, { ...as, ...expect });
    await once(user, 'continue');
    user.end('hello');
    assert.equal((await takeAnswer(user)).headers.range, '0-4');
  });

  test('a hundred streams at once are served', async () => {
    const blob = randomBytes(MiB);
    const path = await push(client, blob);
    const own = await http2Client(stack);
    const answers = await Promise.all(
      Array.from({ length: 100 }, () => own.ask('GET', path, { headers: as })),
    );
    assert.ok(answers.every(({ body }) => body.equals(blob)));
    const blobs = Array.from({ length: 100 }, () => randomBytes(256 * 1024));
    await Promise.all(blobs.map((one) => push(own, one)));
    own.close();
  });

  test('cancelled streams take their upstream requests with them', async () => {
    const path = await push(client, randomBytes(32 * MiB));
    const [core, gateway] = [await openFiles(stack, 'core'), await openFiles(stack, 'gateway')];
    await Promise.all(
      Array.from({ length: 60 }, async (_, index) => {
        const stream = client.open(index % 3 === 0 ? 'HEAD' : 'GET', path, as);
        if (index % 3 === 2) await once(stream, 'response');
        stream.close(8);
        await once(stream, 'close');
      }),
    );
    await waitFor(
      'the upstream requests to end',
      async () =>
        (await openFiles(stack, 'core')) <= core + 2 &&
        (await openFiles(stack, 'gateway')) <= gateway + 2,
    );
    assert.equal((await client.ask('GET', '/v2/', { headers: as })).status, 200);
  });

  test('an upload that is cancelled goes on later from where it was', async () => {
    const started = await client.ask('POST', '/v2/team/app/blobs/uploads/', { headers: as });
    const path = String(started.headers.location);
    const stream = client.open('PATCH', path, as);
    const blob = randomBytes(20 * MiB);
    // More than a window: some of it has reached the core when the last of these bytes is taken. All of them may have,
    // so that there must be more to send.
    await new Promise((resolve) => stream.write(blob.subarray(0, 18 * MiB), resolve));
    stream.close(8);
    await waitFor('the rest to be taken', async () => {
      const { range } = (await client.ask('GET', path, { headers: as })).headers;
      const kept = range === '0-0' ? 0 : Number(String(range).slice(2)) + 1;
      // Refused while the core still writes what came: the range has grown since.
      const rest = await client.ask('PATCH', path, {
        headers: { ...as, 'content-range': `${kept}-${blob.length - 1}` },
        body: blob.subarray(kept),
      });
      return kept > 0 && rest.status === 202;
    });
    const put = await client.ask('PUT', `${path}?digest=${digestOf(blob)}`, { headers: as });
    assert.equal(put.status, 201);
  });

  test('clients of HTTP/1.1 find their own on the same port', async () => {
    const ca = await readFile(stack.ca);
    const answer = await new Promise<{ version: string; connection: string | undefined }>(
      (resolve, reject) => {
        httpsGet(`${stack.url}/v2/`, { ca, headers: as, agent: false }, (incoming) => {
          incoming.resume();
          const { httpVersion: version, headers } = incoming;
          resolve({ version, connection: headers.connection });
        }).once('error', reject);
      },
    );
    assert.deepEqual(answer, { version: '1.1', connection: 'close' });
    for (const [flag, version] of [
      ['--http2', '2'],
      ['--http1.1', '1.1'],
      ['--no-alpn', '1.1'],
    ] as const) {
      const args = ['-sS', '--cacert', stack.ca, flag, '-w', ' %{http_version}'];
      const shown = await mustRun('curl', [...args, '--user', 'admin:secret', `${stack.url}/v2/`]);
      assert.equal(shown, `{} ${version}`);
    }
  });

  test('skopeo pushes an image and pulls it back', async () => {
    const layout = join(stack.dir, 'layout');
    await writeOciLayout(layout, [2_000_000, 300]);
    const credentials = 'admin:secret';
    const skopeo = await prepareSkopeo({ dir: stack.dir, ca: stack.ca, credentials });
    const image = `docker://localhost:${stack.port}/team/oci:v1`;
    const pushed = await skopeo.copy(`oci:${layout}:v1`, image);
    assert.equal(pushed.code, 0, pushed.stderr);
    const back = await skopeo.copy(image, `oci:${join(stack.dir, 'back')}:v1`);
    assert.equal(back.code, 0, back.stderr);
  });

  test('a renewed certificate is taken while sessions go on', async () => {
    await mustRun(launcher, ['certs', join(stack.dir, 'certs'), 'localhost', 'renewed.example']);
    await waitFor('the new certificate', async () => {
      const socket = tlsConnect({
        port: stack.port,
        host: '127.0.0.1',
        servername: 'localhost',
        rejectUnauthorized: false,
        ALPNProtocols: ['h2'],
      });
      await once(socket, 'secureConnect');
      const { subjectaltname } = socket.getPeerCertificate();
      assert.equal(socket.alpnProtocol, 'h2');
      socket.destroy();
      return subjectaltname?.includes('renewed.example');
    });
    assert.equal((await client.ask('GET', '/v2/', { headers: as })).status, 200);
  });

  test('the log has no warning and no failure', () => {
    assert.doesNotMatch(stack.output(), /Warning|a process died|level=(?:error|fatal)/);
  });
});

test('a stream that stands still is reset, and the others of its session go on', async () => {
  const stack = await startConfigured({
    tls: true,
    users,
    http,
    sections: () => ({ portcullis: { gateway: { idletimeout: '1500ms' } } }),
  });
  try {
    const client = await http2Client(stack);
    const path = await push(client, randomBytes(32 * MiB));
    const started = await client.ask('POST', '/v2/team/app/blobs/uploads/', { headers: as });
    const moving = client.open('PATCH', String(started.headers.location), as);
    const timer = setInterval(() => moving.write('x'), 100);
    const unread = client.open('GET', path, as);
    const standing = await client.ask('POST', '/v2/team/app/blobs/uploads/', { headers: as });
    const unsent = client.open('PATCH', String(standing.headers.location), as);
    unsent.write('abcd');
    await Promise.all([unread, unsent].map((stream) => once(stream, 'close')));
    assert.deepEqual([unread.rstCode, unsent.rstCode], [8, 8]);
    clearInterval(timer);
    assert.equal(moving.closed, false);
    moving.end();
    assert.equal((await takeAnswer(moving)).status, 202);
    client.close();
  } finally {
    await stack.remove();
  }
});

test('a stop lets a running download end and cuts one that nobody takes', async () => {
  const stack = await startConfigured({ tls: true, users, http: { ...http, draintimeout: '3s' } });
  try {
    const client = await http2Client(stack);
    const blob = randomBytes(32 * MiB);
    const path = await push(client, blob);
    const running = client.open('GET', path, as);
    await once(running, 'response');
    const stuck = await http2Client(stack);
    const untaken = stuck.open('GET', path, as);
    await once(untaken, 'response');
    const told = once(client.session, 'goaway');
    const stopped = stack.stop();
    assert.equal((await told)[0], 0);
    const { body } = await takeAnswer(running);
    assert.ok(body.equals(blob));
    assert.equal(await stopped, 0);
    await waitFor('the end of the other', () => untaken.destroyed);
  } finally {
    await stack.remove();
  }
});

test('HTTP/2 is not offered where it is not written out', async () => {
  for (const given of [{}, { http2: {} }, { http2: { disabled: true } }]) {
    const stack = await startConfigured({ tls: true, users, http: given });
    try {
      const { stdout } = await run('curl', [
        ...['-sS', '--http2', '--cacert', stack.ca, '-o', '/dev/null', '-w', '%{http_version}'],
        `${stack.url}/v2/`,
      ]);
      assert.equal(stdout, '1.1');
    } finally {
      await stack.remove();
    }
  }
});
