import assert from 'node:assert/strict';
import { afterEach, before, beforeEach, describe, test } from 'node:test';
import { routes } from '#libs/api/routes.ts';
import { digestOf } from '#libs/oci/digest.ts';
import { createUploadId } from '#libs/oci/upload-id.ts';
import { createMemoryDriver } from '../../services/core/storage/memory.ts';
import { type Core, pushBlob, pushManifest, type Received, startCore } from '../support/core.ts';
import { makeImage, makeLayer } from '../support/images.ts';
import { createTokenServer, may, type TokenServer } from '../support/tokens.ts';

const app = 'team/app';
const hour = 3600;

describe('a core that verifies tokens', () => {
  let tokens: TokenServer;
  let core: Core;
  const asked: string[][] = [];

  before(async () => {
    tokens = await createTokenServer();
  });

  beforeEach(async () => {
    core = await startCore({
      driver: createMemoryDriver(),
      verifier: tokens.verifier,
      pullFilter: {
        async mayPull({ subject }, names) {
          asked.push([subject, ...names]);
          return names.map((name) => name.startsWith(`${subject}/`));
        },
      },
    });
  });

  afterEach(async () => {
    await core.close();
  });

  const pusher = (name = app, subject = 'alice') =>
    tokens.bearer({ subject, access: [may(name, 'pull', 'push')] });

  const refused = ({ status, codes }: Received) =>
    assert.deepEqual([status, ...codes], [401, 'UNAUTHORIZED']);

  async function start(subject = 'alice'): Promise<string> {
    const headers = await pusher(app, subject);
    const { headers: answer } = await core.send('POST', `/v2/${app}/blobs/uploads/`, { headers });
    return answer.location ?? '';
  }

  for (const { method, path } of routes) {
    test(`${method} ${path} is closed without a token, and with one that is no good`, async () => {
      const concrete = path
        .replace('<name>', app)
        .replace('<reference>', 'latest')
        .replace('<digest>', digestOf(Buffer.from('x')))
        .replace('<session>', createUploadId());
      const good = await tokens.issue();
      for (const authorization of [
        undefined,
        'Bearer',
        'Bearer nonsense',
        'Basic YWxpY2U6cGFzc3dvcmQ=',
        `Bearer ${good.slice(0, -4)}AAAA`,
        `Bearer ${await tokens.issue({ audience: 'another.test' })}`,
        `Bearer ${await tokens.issue({ expiresIn: -hour, access: [may(app, '*')] })}`,
      ]) {
        const headers = authorization === undefined ? {} : { Authorization: authorization };
        refused(await core.send(method, concrete, { headers: headers as Record<string, string> }));
      }
    });
  }

  test('any token opens the base, and nothing else', async () => {
    const headers = await tokens.bearer();
    assert.equal((await core.send('GET', '/v2/', { headers })).status, 200);
    refused(await core.send('GET', '/v2/_catalog', { headers }));
    refused(await core.send('GET', `/v2/${app}/tags/list`, { headers }));
  });

  test('a token for pulling pulls, and changes nothing', async () => {
    const image = makeImage();
    for (const blob of image.blobs) await pushBlob(core, app, blob, await pusher());
    await pushManifest(core, app, image, 'v1', await pusher());
    const headers = await tokens.bearer({ access: [may(app, 'pull')] });
    const blob = image.blobs[0]?.descriptor.digest;
    for (const path of ['manifests/v1', `blobs/${blob}`, 'tags/list']) {
      assert.equal((await core.send('GET', `/v2/${app}/${path}`, { headers })).status, 200);
    }
    refused(await core.send('POST', `/v2/${app}/blobs/uploads/`, { headers }));
    refused(await pushBlob(core, app, makeLayer(), headers));
    refused(await pushManifest(core, app, image, 'v2', headers));
    refused(await core.send('DELETE', `/v2/${app}/manifests/v1`, { headers }));
    refused(await core.send('DELETE', `/v2/${app}/blobs/${blob}`, { headers }));
    const session = await start();
    for (const method of ['GET', 'PATCH', 'PUT', 'DELETE']) {
      refused(await core.send(method, session, { headers }));
    }
  });

  test('a token for pushing deletes nothing but its own upload', async () => {
    const layer = makeLayer();
    await pushBlob(core, app, layer, await pusher());
    const path = `/v2/${app}/blobs/${layer.descriptor.digest}`;
    refused(await core.send('DELETE', path, { headers: await pusher() }));
    assert.equal(
      (await core.send('DELETE', await start(), { headers: await pusher() })).status,
      204,
    );
  });

  test('a token for another repository is no token for this one', async () => {
    const headers = await pusher('team/other');
    refused(await core.send('POST', `/v2/${app}/blobs/uploads/`, { headers }));
    refused(await core.send('GET', `/v2/${app}/tags/list`, { headers }));
    refused(await core.send('GET', `/v2/${app}x/tags/list`, { headers: await pusher(app) }));
  });

  test('a session is unknown to other subjects, whatever they may push', async () => {
    const session = await start('alice');
    for (const subject of ['bob', '']) {
      const headers = await pusher(app, subject);
      for (const method of ['GET', 'PATCH', 'DELETE']) {
        const { status, codes } = await core.send(method, session, { headers });
        assert.deepEqual([status, ...codes], [404, 'BLOB_UPLOAD_UNKNOWN']);
      }
    }
    assert.equal((await core.send('GET', session, { headers: await pusher() })).status, 204);
  });

  describe('and a token that died of age', () => {
    const old = (subject = 'alice', name = app) =>
      tokens.bearer({ subject, access: [may(name, 'pull', 'push')], expiresIn: -hour });

    test('may finish its own upload', async () => {
      const { bytes, descriptor } = makeLayer(500);
      const session = await start();
      const headers = await old();
      assert.equal((await core.send('PATCH', session, { body: bytes, headers })).status, 202);
      assert.equal((await core.send('GET', session, { headers })).status, 204);
      const put = `${session}?digest=${descriptor.digest}`;
      assert.equal((await core.send('PUT', put, { headers })).status, 201);
      refused(await core.send('GET', session, { headers }));
    });

    test('opens nothing else', async () => {
      const headers = await old();
      await start();
      refused(await core.send('GET', '/v2/', { headers }));
      refused(await core.send('POST', `/v2/${app}/blobs/uploads/`, { headers }));
      refused(await core.send('GET', `/v2/${app}/tags/list`, { headers }));
      refused(await core.send('GET', `/v2/${app}/blobs/uploads/${createUploadId()}`, { headers }));
    });

    test('of another subject, for another repository or action, does not count', async () => {
      const session = await start();
      const pullOnly = { access: [may(app, 'pull')], expiresIn: -hour };
      for (const headers of [
        await old('bob'),
        await old('alice', 'team/other'),
        await tokens.bearer(pullOnly),
      ]) {
        refused(await core.send('PATCH', session, { body: Buffer.from('x'), headers }));
      }
      const elsewhere = session.replace(app, 'team/other');
      refused(await core.send('PATCH', elsewhere, { headers: await old('alice', 'team/other') }));
    });

    test('does not count once its subject was revoked', async () => {
      const session = await start('mallory');
      const headers = await old('mallory');
      assert.equal((await core.send('GET', session, { headers })).status, 204);
      tokens.revoke('mallory');
      refused(await core.send('GET', session, { headers }));
    });
  });

  test('a mount needs the right to pull its source, else it opens a session', async () => {
    const layer = makeLayer();
    await pushBlob(core, 'secret/app', layer, await pusher('secret/app'));
    const path = `/v2/${app}/blobs/uploads/?mount=${layer.descriptor.digest}&from=secret/app`;
    const without = await core.send('POST', path, { headers: await pusher() });
    assert.equal(without.status, 202);
    const access = [may(app, 'pull', 'push'), may('secret/app', 'pull')];
    const headers = await tokens.bearer({ access });
    assert.equal((await core.send('POST', path, { headers })).status, 201);
  });

  test('a mount of one’s own needs it too: the rules are not asked again', async () => {
    const layer = makeLayer();
    await pushBlob(core, 'alice/secret', layer, await pusher('alice/secret'));
    const path = `/v2/alice/x/blobs/uploads/?mount=${layer.descriptor.digest}&from=alice/secret`;
    const narrow = await core.send('POST', path, { headers: await pusher('alice/x') });
    assert.equal(narrow.status, 202);
    const pushing = [may('alice/x', 'pull', 'push'), may('alice/secret', 'push')];
    const blind = { headers: await tokens.bearer({ access: pushing }) };
    assert.equal((await core.send('POST', path, blind)).status, 202);
    const both = [may('alice/x', 'pull', 'push'), may('alice/secret', 'pull')];
    const headers = await tokens.bearer({ access: both });
    assert.equal((await core.send('POST', path, { headers })).status, 201);
  });

  test('the catalog shows what the caller may pull, or all where that is granted', async () => {
    for (const name of ['alice/app', 'bob/app', 'alice/tool']) {
      await pushBlob(core, name, makeLayer(), await pusher(name));
    }
    const list = async (action: string) => {
      const access = [{ type: 'registry', name: 'catalog', actions: [action] }];
      const { text } = await core.send('GET', '/v2/_catalog', {
        headers: await tokens.bearer({ subject: 'alice', access }),
      });
      return (JSON.parse(text) as { repositories: string[] }).repositories;
    };
    assert.deepEqual(await list('pull'), ['alice/app', 'alice/tool']);
    assert.deepEqual(asked.at(-1), ['alice', 'alice/app', 'alice/tool', 'bob/app']);
    assert.deepEqual(await list('*'), ['alice/app', 'alice/tool', 'bob/app']);
  });

  test('pages of the catalog are full and end where what the caller sees ends', async () => {
    const names = Array.from({ length: 20 }, (_, n) => `${n % 3 === 0 ? 'alice' : 'bob'}/app${n}`);
    for (const name of names) await pushBlob(core, name, makeLayer(), await pusher(name));
    const visible = names.filter((name) => name.startsWith('alice/')).sort();
    const access = [{ type: 'registry', name: 'catalog', actions: ['pull'] }];
    const headers = await tokens.bearer({ subject: 'alice', access });
    const found: string[] = [];
    let path: string | undefined = '/v2/_catalog?n=3';
    while (path !== undefined) {
      const answer: Received = await core.send('GET', path, { headers });
      const { repositories } = JSON.parse(answer.text) as { repositories: string[] };
      found.push(...repositories);
      const { link } = answer.headers;
      path = /^<([^>]+)>/.exec(String(link ?? ''))?.[1];
      assert.ok(!String(link).includes('bob'), 'no page begins behind what is hidden');
      if (path !== undefined) assert.equal(repositories.length, 3);
    }
    assert.deepEqual(found, visible);
    // A page that ends with the last that is seen says that there is no more, though there are others.
    const exact = await core.send('GET', `/v2/_catalog?n=${visible.length}`, { headers });
    assert.equal(exact.headers.link, undefined);
    const behind = await core.send('GET', '/v2/_catalog?n=3&last=alice/zzz', { headers });
    assert.equal(behind.text, '{"repositories":[]}');
  });

  test('where nobody can be asked what the caller may pull, only the whole catalog is shown', async () => {
    const alone = await startCore({ driver: createMemoryDriver(), verifier: tokens.verifier });
    try {
      await pushBlob(alone, 'a/b', makeLayer(), await pusher('a/b'));
      for (const [action, expected] of [
        ['pull', '{"repositories":[]}'],
        ['*', '{"repositories":["a/b"]}'],
      ] as const) {
        const access = [{ type: 'registry', name: 'catalog', actions: [action] }];
        const headers = await tokens.bearer({ access });
        assert.equal((await alone.send('GET', '/v2/_catalog', { headers })).text, expected);
      }
    } finally {
      await alone.close();
    }
  });
});
