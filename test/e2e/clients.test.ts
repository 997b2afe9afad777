import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { writeOciLayout } from '../support/oci-layout.ts';
import { mustRun, run } from '../support/run.ts';
import { prepareSkopeo, type Skopeo } from '../support/skopeo.ts';
import { launcher, type Stack, startStack } from '../support/stack.ts';

const dockerManifest = 'application/vnd.docker.distribution.manifest.v2+json';

describe('skopeo and curl', () => {
  let stack: Stack;
  let skopeo: Skopeo;
  let layout: string;
  let registry: string;

  before(async () => {
    stack = await startStack();
    registry = `localhost:${stack.port}`;
    layout = join(stack.dir, 'layout');
    await writeOciLayout(layout, [2_000_000, 300]);
    skopeo = await prepareSkopeo({
      dir: stack.dir,
      ca: stack.ca,
      credentials: `admin:${stack.password}`,
    });
  });

  after(async () => {
    await stack?.remove();
  });

  const curl = (...args: string[]) =>
    mustRun('curl', ['-sS', '--cacert', stack.ca, '--user', `admin:${stack.password}`, ...args]);

  test('skopeo pushes an OCI image and reads the same digest back', async () => {
    const pushed = await skopeo.copy(`oci:${layout}:v1`, `docker://${registry}/team/oci:v1`);
    assert.equal(pushed.code, 0, pushed.stderr);
    const { Digest, RepoTags } = await skopeo.inspect(`docker://${registry}/team/oci:v1`);
    assert.match(Digest, /^sha256:/);
    assert.deepEqual(RepoTags, ['v1']);
    const back = await skopeo.copy(
      `docker://${registry}/team/oci@${Digest}`,
      `oci:${join(stack.dir, 'back')}:v1`,
    );
    assert.equal(back.code, 0, back.stderr);
  });

  test('skopeo converts to Docker schema 2 and copies between repositories', async () => {
    const { code, stderr } = await skopeo.copy(
      `docker://${registry}/team/oci:v1`,
      `docker://${registry}/team/docker:v1`,
      '--format',
      'v2s2',
    );
    assert.equal(code, 0, stderr);
    const head = await curl(
      ...['-I', '-H', `Accept: ${dockerManifest}`],
      `${stack.url}/v2/team/docker/manifests/v1`,
    );
    assert.match(head, new RegExp(`content-type: ${RegExp.escape(dockerManifest)}`, 'i'));
    assert.match(head, /docker-content-digest: sha256:[0-9a-f]{64}/i);
    assert.match(head, /etag: "sha256:[0-9a-f]{64}"/i);
  });

  test('skopeo without a login is refused', async () => {
    const stranger = await prepareSkopeo({ dir: stack.dir, ca: stack.ca });
    const { code, stderr } = await stranger.copy(
      `oci:${layout}:v1`,
      `docker://${registry}/team/oci:v2`,
    );
    assert.notEqual(code, 0);
    assert.match(stderr, /denied: requested access to the resource is denied/);
  });

  test('curl with --user and --cacert lists the catalog and the tags', async () => {
    assert.deepEqual(JSON.parse(await curl(`${stack.url}/v2/_catalog`)), {
      repositories: ['team/docker', 'team/oci'],
    });
    assert.deepEqual(JSON.parse(await curl(`${stack.url}/v2/team/oci/tags/list`)), {
      name: 'team/oci',
      tags: ['v1'],
    });
  });

  test('curl renames an image without pulling it: mount every blob, put the manifest', async () => {
    const manifest = await curl(
      ...['-H', `Accept: ${dockerManifest}`],
      `${stack.url}/v2/team/docker/manifests/v1`,
    );
    const { config, layers } = JSON.parse(manifest) as {
      config: { digest: string };
      layers: { digest: string }[];
    };
    for (const { digest } of [...layers, config]) {
      const url = `${stack.url}/v2/team/renamed/blobs/uploads/?mount=${digest}&from=team/docker`;
      assert.equal(await curl('-o', '/dev/null', '-w', '%{http_code}', '-X', 'POST', url), '201');
    }
    const file = join(stack.dir, 'manifest.json');
    await writeFile(file, manifest);
    const status = await curl(
      ...['-o', '/dev/null', '-w', '%{http_code}', '-X', 'PUT', '--data-binary', `@${file}`],
      ...['-H', `Content-Type: ${dockerManifest}`],
      `${stack.url}/v2/team/renamed/manifests/newtag`,
    );
    assert.equal(status, '201');
    assert.equal(await curl(`${stack.url}/v2/team/renamed/manifests/newtag`), manifest);
  });

  test('curl deletes an image by the digest that HEAD tells', async () => {
    const head = await curl('-I', `${stack.url}/v2/team/renamed/manifests/newtag`);
    const digest = /docker-content-digest: (\S+)/i.exec(head)?.[1] ?? '';
    const status = async (...args: string[]) =>
      await curl('-o', '/dev/null', '-w', '%{http_code}', ...args);
    const url = `${stack.url}/v2/team/renamed/manifests`;
    assert.equal(await status('-X', 'DELETE', `${url}/${digest}`), '202');
    assert.equal(await status(`${url}/${digest}`), '404');
    assert.equal(await status(`${url}/newtag`), '404');
  });

  test('a browser is asked for the password and then sees the catalog', async () => {
    const navigate = ['-H', 'Sec-Fetch-Mode: navigate', '-H', 'Upgrade-Insecure-Requests: 1'];
    const asked = await mustRun('curl', [
      ...['-sS', '-i', '--cacert', stack.ca, ...navigate],
      `${stack.url}/v2/_catalog`,
    ]);
    assert.match(asked, /www-authenticate: Basic realm="Portcullis"/i);
    assert.match(await curl(...navigate, `${stack.url}/v2/_catalog`), /"repositories"/);
  });

  test('a user made while it runs can log in, within their rights, and is gone when removed', async () => {
    const config = join(stack.dir, 'config.yml');
    const made = await run(launcher, ['user', 'add', '--config', config, 'bob'], {
      input: 'bobs password\n',
    });
    assert.equal(made.code, 0, made.stderr);
    const asBob = async (...args: string[]) =>
      await mustRun('curl', [
        ...['-sS', '--cacert', stack.ca, '--user', 'bob:bobs password'],
        ...['-o', '/dev/null', '-w', '%{http_code}', ...args],
      ]);
    const eventually = async (expected: string, ...args: string[]) => {
      for (let tries = 0; tries < 500; tries += 1) {
        if ((await asBob(...args)) === expected) return;
      }
      assert.equal(await asBob(...args), expected);
    };
    await eventually('200', `${stack.url}/v2/`);
    const post = ['-X', 'POST'];
    assert.equal(await asBob(...post, `${stack.url}/v2/bob/app/blobs/uploads/`), '202');
    assert.equal(await asBob(...post, `${stack.url}/v2/team/app/blobs/uploads/`), '403');
    assert.equal(await asBob(`${stack.url}/v2/team/oci/tags/list`), '200');
    assert.equal((await run(launcher, ['user', 'remove', '--config', config, 'bob'])).code, 0);
    await eventually('401', `${stack.url}/v2/`);
  });
});
