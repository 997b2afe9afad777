import assert from 'node:assert/strict';
import { mkdir, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Fleet, type Member, startFleet } from '../support/fleet.ts';
import { makeImage, makeLayer } from '../support/images.ts';
import { RegistryClient } from '../support/registry-client.ts';
import { loseNothingWhile, restart } from '../support/rolling.ts';
import { mustRun } from '../support/run.ts';
import { launcher } from '../support/stack.ts';
import { waitFor } from '../support/wait-for.ts';

const MiB = 1024 * 1024;

describe('several gateways, token services and cores', () => {
  let fleet: Fleet;
  let client: RegistryClient;

  before(async () => {
    fleet = await startFleet();
    client = await RegistryClient.create({
      url: fleet.url,
      ca: fleet.ca,
      credentials: `${fleet.user}:${fleet.password}`,
    });
  });

  after(async () => {
    client?.close();
    await fleet?.remove();
  });

  /** The core that holds an upload. */
  const holderOf = async (upload: string): Promise<Member> => {
    const id = upload.split('?')[0]?.split('/').at(-1) ?? '';
    const holder = await fleet.redis.cli('hget', `portcullis:upload:{${id}}`, 'holder');
    const core = fleet.cores.find(({ child }) => holder.split('/')[1] === String(child.pid));
    assert.ok(core !== undefined, holder);
    return core;
  };

  test('a core whose storage is not there, as one that is not mounted, does not begin a new one', async () => {
    const [core] = fleet.cores;
    assert.ok(core !== undefined);
    await core.stop();
    const elsewhere = join(fleet.dir, 'not mounted');
    await mkdir(elsewhere);
    const start = core.start({ REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY: elsewhere });
    await assert.rejects(start, /not mounted\/docker\/registry\/v2 is gone; put it back, or mount/);
    assert.deepEqual(await readdir(elsewhere), []);
    await core.start();
  });

  test('what one pushes, all serve', async () => {
    const image = makeImage();
    await client.push('team/app', 'v1', image);
    for (const gateway of fleet.gateways) {
      const direct = await RegistryClient.create({
        url: `https://localhost:${gateway.port}`,
        ca: fleet.ca,
        credentials: `${fleet.user}:${fleet.password}`,
      });
      for (let round = 0; round < fleet.cores.length * 2; round += 1) {
        const { status, body } = await direct.ask('GET', '/v2/team/app/manifests/v1');
        assert.equal(status, 200);
        assert.deepEqual(body, image.bytes);
      }
      direct.close();
    }
  });

  test('an upload goes on with another core when its own dies, from where it was', async () => {
    const layer = makeLayer(3 * MiB);
    const upload = await client.startUpload('team/app');
    const chunk = (from: number, to: number) =>
      client.ask('PATCH', upload, {
        body: layer.bytes.subarray(from, to),
        headers: { 'content-range': `${from}-${to - 1}` },
      });
    assert.equal((await chunk(0, MiB)).status, 202);
    const holder = await holderOf(upload);
    await holder.kill();
    const second = await waitFor('another core to take the upload', async () => {
      const answer = await chunk(MiB, 2 * MiB);
      if (answer.status !== 202) assert.equal(answer.status, 503, String(answer.body));
      return answer.status === 202 && answer;
    });
    assert.equal(second.headers.range, `0-${2 * MiB - 1}`);
    await holder.start();
    const last = await client.finishUpload(
      upload,
      layer.descriptor.digest,
      layer.bytes.subarray(2 * MiB),
    );
    assert.equal(last.status, 201, String(last.body));
    const { body } = await client.ask('GET', `/v2/team/app/blobs/${layer.descriptor.digest}`);
    assert.deepEqual(body, layer.bytes);
  });

  test('a core that is held up loses its upload to another, and does no harm when it wakes up', async () => {
    const layer = makeLayer(2 * MiB);
    const upload = await client.startUpload('team/app');
    const first = await client.ask('PATCH', upload, { body: layer.bytes.subarray(0, MiB) });
    assert.equal(first.status, 202);
    const holder = await holderOf(upload);
    holder.pause();
    try {
      const rest = layer.bytes.subarray(MiB);
      const finished = await waitFor('another core to finish the upload', async () => {
        const answer = await client
          .finishUpload(String(first.headers.location), layer.descriptor.digest, rest)
          .catch(() => undefined);
        return answer?.status === 201 && answer;
      });
      assert.equal(finished.status, 201);
    } finally {
      holder.resume();
    }
    await sleep(500);
    const { body } = await client.ask('GET', `/v2/team/app/blobs/${layer.descriptor.digest}`);
    assert.deepEqual(body, layer.bytes);
  });

  test('Redis that lost everything is filled again from storage, and uploads go on', async () => {
    const layer = makeLayer(2 * MiB);
    const upload = await client.startUpload('team/app');
    const first = await client.ask('PATCH', upload, { body: layer.bytes.subarray(0, MiB) });
    assert.equal(first.status, 202);
    await fleet.redis.restart();
    assert.equal((await fleet.redis.cli('dbsize')).trim(), '0');
    const rest = layer.bytes.subarray(MiB);
    await waitFor('Redis to be used again', async () => {
      const next = String(first.headers.location);
      const answer = await client.finishUpload(next, layer.descriptor.digest, rest);
      if (answer.status !== 201) assert.equal(answer.status, 503);
      return answer.status === 201;
    });
    const { body } = await client.ask('GET', `/v2/team/app/blobs/${layer.descriptor.digest}`);
    assert.deepEqual(body, layer.bytes);
  });

  test('without Redis writes are refused with a hint, reads and logins go on, and it heals', async () => {
    const image = makeImage();
    await client.push('team/kept', 'v1', image);
    // Not the last trouble's words.
    await waitFor('all cores to be content with Redis', () =>
      fleet.cores.every(({ output }) => {
        const said = output().match(/Redis (?:answers again|does not answer)/g) ?? [];
        return said.at(-1) !== 'Redis does not answer';
      }),
    );
    fleet.redisRelay.freeze();
    const since = fleet.cores.map((core) => core.output().length);
    try {
      await waitFor('all cores to notice', async () => {
        await client.ask('POST', '/v2/team/kept/blobs/uploads/');
        return fleet.cores.every((core, index) =>
          core.output().slice(since[index]).includes('Redis does not answer'),
        );
      });
      for (let round = 0; round < 6; round += 1) {
        for (const write of [
          client.ask('POST', '/v2/team/kept/blobs/uploads/'),
          client.putManifest('team/kept', 'v2', image),
          client.ask('DELETE', '/v2/team/kept/manifests/v1'),
        ]) {
          const { status, headers, code } = await write;
          assert.equal(status, 503);
          assert.equal(code, 'UNAVAILABLE');
          assert.ok(Number(headers['retry-after']) > 0);
        }
        const pulled = await client.ask('GET', '/v2/team/kept/manifests/v1');
        assert.deepEqual(pulled.body, image.bytes);
        assert.equal((await client.ask('GET', '/v2/_token?service=portcullis')).status, 200);
      }
      for (const [index, core] of fleet.cores.entries()) {
        const said = core
          .output()
          .slice(since[index])
          .match(/Redis does not answer/g);
        assert.equal(said?.length, 1, core.output().slice(since[index]));
      }
    } finally {
      fleet.redisRelay.thaw();
    }
    await waitFor('writes', async () => {
      return (await client.putManifest('team/kept', 'v2', image)).status === 201;
    });
  });

  test('a stranger is not believed, and finds nothing of what is between us', async () => {
    const [auth, core] = [fleet.auths[0], fleet.cores[0]];
    assert.ok(auth !== undefined && core !== undefined);
    const stranger = await RegistryClient.create({ url: `http://127.0.0.1:${auth.port}` });
    for (const headers of [{}, { 'x-portcullis-hop': `${Date.now()}.AAAA` }]) {
      assert.equal((await stranger.ask('GET', '/internal/trust', { headers })).status, 404);
    }
    assert.equal((await stranger.ask('GET', '/readyz')).status, 200);
    stranger.close();
    const direct = await RegistryClient.create({ url: `http://127.0.0.1:${core.port}` });
    assert.equal((await direct.ask('GET', '/v2/team/app/manifests/v1')).status, 401);
    direct.close();
  });

  test('a changed password voids its tokens at every gateway', async () => {
    const file = join(fleet.dir, 'htpasswd');
    await mustRun(launcher, ['user', 'add', '--file', file, 'guest'], { input: 'first password' });
    const guest = await RegistryClient.create({ url: fleet.url, ca: fleet.ca });
    const login = (password: string) => ({
      authorization: `Basic ${Buffer.from(`guest:${password}`).toString('base64')}`,
    });
    const { body } = await waitFor('the guest to be known', async () => {
      const answer = await guest.ask('GET', '/v2/_token?service=portcullis', {
        headers: login('first password'),
      });
      return answer.status === 200 && answer;
    });
    const { token } = JSON.parse(body.toString()) as { token: string };
    const headers = { authorization: `Bearer ${token}` };
    assert.equal((await guest.ask('GET', '/v2/', { headers })).status, 200);
    await mustRun(launcher, ['user', 'passwd', '--file', file, 'guest'], {
      input: 'second password',
    });
    await waitFor('the token to be refused', async () => {
      return (await guest.ask('GET', '/v2/', { headers })).status === 401;
    });
    const direct = fleet.gateways.map((gateway) =>
      RegistryClient.create({ url: `https://localhost:${gateway.port}`, ca: fleet.ca }),
    );
    for (const opening of direct) {
      const client = await opening;
      await waitFor('every gateway to refuse it', async () => {
        return (await client.ask('GET', '/v2/', { headers })).status === 401;
      });
      client.close();
    }
    guest.close();
  });

  test('a rolling restart of everything loses no request and no upload', async (t) => {
    const requests = await loseNothingWhile(client, 'team/rolled', async () => {
      for (const member of [...fleet.cores, ...fleet.auths, ...fleet.gateways]) {
        await restart(member);
      }
    });
    t.diagnostic(`${requests} rounds of pulls and pushes`);
  });

  test('nothing is left of all that', async () => {
    const left: string[] = [];
    for (const repository of await mustRun('find', [
      fleet.root,
      '-type',
      'd',
      '-name',
      '_uploads',
    ]).then((text) => text.trim().split('\n'))) {
      left.push(...(await readdir(repository)).map((id) => join(repository, id)));
    }
    assert.deepEqual(left, []);
    // Sessions that were asked for while Redis was away came to be when nobody wanted them any more.
    const keys = (await fleet.redis.cli('keys', 'portcullis:upload:*')).split('\n').filter(Boolean);
    for (const key of keys) {
      assert.equal((await fleet.redis.cli('hget', key, 'holder')).trim(), '');
      assert.ok(Number(await fleet.redis.cli('ttl', key)) > 0);
    }
    const locks = await fleet.redis.cli('keys', 'portcullis:lock:*');
    assert.match(locks, /^(?:portcullis:lock:\{duty upkeep\})?\s*$/);
  });
});
