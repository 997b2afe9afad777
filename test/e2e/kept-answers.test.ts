import assert from 'node:assert/strict';
import { rm, writeFile } from 'node:fs/promises';
import { request } from 'node:http';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  type ImageFixture,
  makeImage,
  makeIndex,
  makeLayer,
  mediaTypes,
} from '../support/images.ts';
import { basic, push, scrapeFrom, startObserved } from '../support/observed-stack.ts';
import { mustRun } from '../support/run.ts';
import { launcher, type Stack } from '../support/stack.ts';
import { createTokenClient } from '../support/token-client.ts';
import { waitFor } from '../support/wait-for.ts';

interface Seen {
  status: number;
  digest: string | null;
  body: string;
}

describe('what the gateway has from a core before', () => {
  let stack: Stack;
  let debug: string;
  let tree: string;
  before(async () => {
    ({ stack, debug } = await startObserved());
    tree = join(stack.dir, 'registry/docker/registry/v2');
  });
  after(() => stack.remove());

  async function ask(
    path: string,
    method = 'GET',
    headers: Record<string, string> = {},
  ): Promise<Seen> {
    const url = `${stack.url}/v2/${path}`;
    const answer = await fetch(url, { method, headers: { ...basic, ...headers } });
    const digest = answer.headers.get('docker-content-digest');
    return { status: answer.status, digest, body: await answer.text() };
  }

  /** Requests that cores had of what is kept, manifests and blobs. */
  async function askedOfCore(): Promise<number> {
    const scraped = await scrapeFrom(debug);
    const of = (route: string) =>
      scraped.sum('portcullis_http_requests_total', { process: 'core', route });
    return of('getManifest') + of('getBlob');
  }

  /** Asks until the core is not asked any more. */
  async function askUntilKept(
    path: string,
    method = 'GET',
    headers: Record<string, string> = {},
  ): Promise<Seen> {
    return await waitFor(`the core not to be asked for ${path}`, async () => {
      const asked = await askedOfCore();
      const seen = await ask(path, method, headers);
      return (await askedOfCore()) === asked && seen;
    });
  }

  async function pushTagged(name: string, image: ImageFixture, tag: string): Promise<void> {
    for (const { bytes, descriptor } of image.blobs)
      await push(stack, name, bytes, descriptor.digest);
    await putManifest(name, tag, image);
  }

  async function putManifest(
    name: string,
    tag: string,
    { bytes, descriptor }: Pick<ImageFixture, 'bytes' | 'descriptor'>,
  ) {
    const answer = await fetch(`${stack.url}/v2/${name}/manifests/${tag}`, {
      method: 'PUT',
      headers: { ...basic, 'Content-Type': descriptor.mediaType },
      body: new Uint8Array(bytes),
    });
    assert.equal(answer.status, 201, await answer.text());
  }

  test('is what the core answered, byte for byte and header for header', async () => {
    const image = makeImage();
    await pushTagged('alice/same', image, 'v1');
    const [config] = image.blobs;
    for (const path of [
      'alice/same/manifests/v1',
      `alice/same/manifests/${image.descriptor.digest}`,
      `alice/same/blobs/${config?.descriptor.digest}`,
    ]) {
      const whole = async (method: string) => {
        const answer = await fetch(`${stack.url}/v2/${path}`, { method, headers: basic });
        const { 'x-request-id': _, date: __, ...headers } = Object.fromEntries(answer.headers);
        return { status: answer.status, headers, body: await answer.text() };
      };
      for (const method of ['HEAD', 'GET', 'HEAD']) {
        const first = await whole(method);
        await askUntilKept(path, method);
        assert.deepEqual(await whole(method), first, `${method} ${path}`);
      }
    }
  });

  test('is not given again when a tag was moved by a push, or as the original moves it', async () => {
    const [one, two] = [makeImage(), makeImage()];
    await pushTagged('alice/moved', two, 'v2');
    await pushTagged('alice/moved', one, 'v1');
    const path = 'alice/moved/manifests/v1';
    assert.equal((await askUntilKept(path)).digest, one.descriptor.digest);
    await putManifest('alice/moved', 'v1', two);
    assert.equal((await ask(path)).digest, two.descriptor.digest);
    assert.equal((await askUntilKept(path, 'HEAD')).digest, two.descriptor.digest);
    // In place, with the same inode and size, and the time of modification that it had.
    const link = join(tree, 'repositories/alice/moved/_manifests/tags/v1/current/link');
    await writeFile(link, one.descriptor.digest);
    assert.equal((await ask(path, 'HEAD')).digest, one.descriptor.digest);
    for (let turn = 0; turn < 50; turn += 1) {
      const now = turn % 2 === 0 ? two : one;
      await putManifest('alice/moved', 'v1', now);
      assert.equal((await ask(path)).digest, now.descriptor.digest, `turn ${turn}`);
    }
  });

  test('is not given again when it was deleted, collected or taken away', async () => {
    const image = makeImage();
    const name = 'alice/gone';
    await pushTagged(name, image, 'v1');
    const [{ descriptor: first }, { descriptor: second }] = image.blobs as [
      (typeof image.blobs)[0],
      (typeof image.blobs)[0],
    ];
    for (const { digest } of [first, second]) {
      await askUntilKept(`${name}/blobs/${digest}`, 'HEAD');
      await askUntilKept(`${name}/blobs/${digest}`);
    }
    assert.equal((await ask(`${name}/blobs/${first.digest}`, 'DELETE')).status, 202);
    assert.equal((await ask(`${name}/blobs/${first.digest}`, 'HEAD')).status, 404);
    assert.equal((await ask(`${name}/blobs/${first.digest}`)).status, 404);
    const hex = second.digest.slice('sha256:'.length);
    await rm(join(tree, 'blobs/sha256', hex.slice(0, 2), hex, 'data'));
    assert.equal((await ask(`${name}/blobs/${second.digest}`, 'HEAD')).status, 404);
    assert.equal((await ask(`${name}/blobs/${second.digest}`)).status, 404);
    // By digest, and by tag.
    const paths = [`${name}/manifests/v1`, `${name}/manifests/${image.descriptor.digest}`];
    for (const path of paths) await askUntilKept(path);
    assert.equal((await ask(paths[1] ?? '', 'DELETE')).status, 202);
    for (const path of paths) assert.equal((await ask(path)).status, 404);
  });

  test('is not given again when a collection took it away, and its time in the trash is over', async () => {
    const { bytes, descriptor } = makeLayer();
    await push(stack, 'alice/collected', bytes, descriptor.digest);
    const path = `alice/collected/blobs/${descriptor.digest}`;
    await askUntilKept(path);
    const config = join(stack.dir, 'config.yml');
    const collect = (...more: string[]) =>
      mustRun(launcher, ['garbage-collect', '--delay', '0s', ...more, config]);
    await collect();
    // Into the trash, from where it comes back to who misses it.
    assert.equal((await ask(path, 'HEAD')).status, 200);
    await askUntilKept(path, 'HEAD');
    await collect();
    await collect('--grace', '0s');
    assert.equal((await ask(path)).status, 404);
    assert.equal((await ask(path, 'HEAD')).status, 404);
  });

  test('is another one for another Accept, and none for conditions and ranges', async () => {
    const images = [makeImage(), makeImage()];
    for (const image of images) await pushTagged('alice/accept', image, 'one');
    const index = makeIndex(images, 'docker');
    await putManifest('alice/accept', 'list', index);
    const path = 'alice/accept/manifests/list';
    const accepting = (types: string) => ({ Accept: types });
    const list = await askUntilKept(path, 'GET', accepting(mediaTypes.dockerList));
    assert.equal(list.digest, index.descriptor.digest);
    const image = await askUntilKept(path, 'GET', accepting(mediaTypes.ociManifest));
    assert.equal(image.digest, images[0]?.descriptor.digest);
    assert.equal((await ask(path, 'GET', accepting(mediaTypes.dockerList))).body, list.body);
    assert.equal(
      (await ask(path, 'GET', { ...accepting('*/*'), 'If-None-Match': `"${list.digest}"` })).status,
      304,
    );
    const { digest } = images[0]?.blobs[0]?.descriptor ?? { digest: '' };
    const blob = `alice/accept/blobs/${digest}`;
    const whole = await askUntilKept(blob);
    const range = await ask(blob, 'GET', { Range: 'bytes=1-3' });
    assert.deepEqual([whole.status, range.status], [200, 206]);
  });

  test('is not that to a request of which the core saw something else', async () => {
    const images = [makeImage(), makeImage()];
    for (const image of images) await pushTagged('alice/listed', image, 'one');
    const index = makeIndex(images, 'docker');
    await putManifest('alice/listed', 'list', index);
    const path = 'alice/listed/manifests/list';
    const Accept = mediaTypes.ociManifest;
    // What Connection lists is not sent on.
    const ask1 = () =>
      new Promise<string>((resolve, reject) => {
        const asking = request(`${stack.url}/v2/${path}`, {
          headers: { ...basic, Accept, Connection: 'accept, close' },
        });
        asking.once('response', (answer) => {
          answer.resume();
          resolve(String(answer.headers['docker-content-digest']));
        });
        asking.once('error', reject).end();
      });
    assert.equal(await ask1(), index.descriptor.digest);
    await sleep(2100);
    for (let time = 0; time < 3; time += 1) await ask1();
    assert.equal((await ask(path, 'GET', { Accept })).digest, images[0]?.descriptor.digest);
    // Nor does a query make another one of it.
    await askUntilKept(path, 'GET', { Accept });
    const asked = await askedOfCore();
    await ask(`${path}?ns=docker.io`, 'GET', { Accept });
    assert.equal(await askedOfCore(), asked);
  });

  test('is given only to who may have it, and no longer than a token is good', async () => {
    const image = makeImage();
    await pushTagged('alice/private', image, 'v1');
    const path = 'alice/private/manifests/v1';
    await askUntilKept(path);
    const client = createTokenClient(stack.url);
    const wanted = { service: 'localhost', scope: 'repository:alice/private:pull' };
    const { token } = await client.get('alice', 'a good password', wanted);
    const other = await client.get('alice', 'a good password', {
      ...wanted,
      scope: 'repository:alice/other:pull',
    });
    assert.equal(await client.use('', path), 401);
    assert.equal(await client.use(other.token, path), 401);
    assert.equal(await client.use(token, path), 200);
    await mustRun(launcher, [
      'token',
      'revoke',
      'alice',
      '--config',
      join(stack.dir, 'config.yml'),
    ]);
    await waitFor('the token to be void', async () => (await client.use(token, path)) === 401);
    assert.equal(await client.use(token, 'alice/private/tags/list'), 401);
  });

  test('is written to the access line as what the core answers', async () => {
    const image = makeImage();
    await pushTagged('alice/lines', image, 'v1');
    const path = 'alice/lines/manifests/v1';
    await askUntilKept(path);
    const before = (await readLines()).length;
    await ask(path);
    const lines = await waitFor('the line', async () => {
      const all = await readLines();
      return all.length > before && all;
    });
    const line = lines.at(-1) ?? '';
    for (const part of ['getManifest', 'alice/lines', '200', `${image.bytes.length}`]) {
      assert.ok(line.includes(part), line);
    }
  });

  async function readLines(): Promise<string[]> {
    return stack
      .output()
      .split('\n')
      .filter((line) => line.includes('/v2/alice/lines/manifests/v1') && line.includes('GET'));
  }
});
