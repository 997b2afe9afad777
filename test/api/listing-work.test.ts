import assert from 'node:assert/strict';
import { request } from 'node:http';
import { afterEach, before, beforeEach, describe, test } from 'node:test';
import { digestOf } from '#libs/oci/digest.ts';
import { parseRepositoryName } from '#libs/oci/reference.ts';
import { paths } from '../../services/core/registry/paths.ts';
import { createMemoryDriver } from '../../services/core/storage/memory.ts';
import { type Core, type CoreSetup, pushBlob, startCore } from '../support/core.ts';
import { type CountingDriver, createCountingDriver } from '../support/counting-driver.ts';
import { createGatedDriver } from '../support/gated-driver.ts';
import { describeJson, makeLayer, mediaTypes } from '../support/images.ts';
import { createSmallBudget } from '../support/small-budget.ts';
import { createTokenServer, may, type TokenServer } from '../support/tokens.ts';
import { waitFor } from '../support/wait-for.ts';

const app = 'team/app';

describe('the work of one list', () => {
  let tokens: TokenServer;
  let driver: CountingDriver;
  let core: Core;

  before(async () => {
    tokens = await createTokenServer();
  });

  beforeEach(() => {
    driver = createCountingDriver(createMemoryDriver());
  });

  afterEach(async () => {
    await core.close();
  });

  const start = async (setup: Partial<CoreSetup> = {}) => {
    core = await startCore({ driver, ...setup });
  };

  const filter = {
    asked: 0,
    async mayPull(_: unknown, names: readonly string[]): Promise<boolean[]> {
      filter.asked += names.length;
      return names.map((name) => name.startsWith('seen/') || name === 'zz');
    },
  };

  const catalog = async () => {
    const access = [{ type: 'registry', name: 'catalog', actions: ['pull'] }];
    return await tokens.bearer({ subject: 'nobody', access });
  };

  test('the catalog looks at so many folders for a page, and goes on where it stopped', async () => {
    await start({ verifier: tokens.verifier, pullFilter: filter });
    const link = Buffer.from(digestOf(Buffer.from('x')));
    const name = (path: string) =>
      `/docker/registry/v2/repositories/${path}/_layers/sha256/x/link` as never;
    for (let index = 0; index < 2100; index += 1) await driver.put(name(`hidden/r${index}`), link);
    for (const path of ['a/hidden', 'seen/one', 'seen/two', 'zz'])
      await driver.put(name(path), link);
    const found: string[] = [];
    const links: string[] = [];
    const headers = await catalog();
    filter.asked = 0;
    let pages = 0;
    for (let path: string | undefined = '/v2/_catalog?n=3'; path !== undefined; pages += 1) {
      driver.reset();
      const answer = await core.send('GET', path, { headers });
      assert.equal(answer.status, 200);
      assert.ok(driver.operations().length < 2100, `${driver.operations().length} operations`);
      found.push(...(JSON.parse(answer.text) as { repositories: string[] }).repositories);
      const next = String(answer.headers.link ?? '');
      links.push(next);
      path = /^<([^>]+)>; rel="next"$/.exec(next)?.[1];
    }
    assert.deepEqual(found, ['seen/one', 'seen/two', 'zz']);
    assert.equal(pages, 2);
    assert.ok(filter.asked >= 2104 && filter.asked < 2110, 'nothing is walked twice');
    for (const one of links) assert.doesNotMatch(decodeURIComponent(one), /hidden/);
  });

  test('whether a page of the catalog is cut does not depend on what the caller asks for', async () => {
    await start({ verifier: tokens.verifier, pullFilter: filter });
    const link = Buffer.from(digestOf(Buffer.from('x')));
    const name = (path: string) =>
      `/docker/registry/v2/repositories/${path}/_layers/sha256/x/link` as never;
    for (let index = 0; index < 2100; index += 1) {
      await driver.put(name(`hidden/r${String(index).padStart(4, '0')}`), link);
    }
    await driver.put(name('seen/one'), link);
    const headers = await catalog();
    const answerTo = async (query: string) => {
      const {
        status,
        text,
        headers: received,
      } = await core.send('GET', `/v2/_catalog?${query}`, {
        headers,
      });
      assert.equal(status, 200);
      const next = String(received.link ?? '');
      return { text, isCut: next !== '', place: /place=([^>&]+)/.exec(next)?.[1] ?? '' };
    };
    // Of 2102 folders one walk looks at 2000; behind these names there are more than that, and fewer.
    for (const last of ['a', 'hidden/r0000', 'hidden/r1000', 'hidden/r2099', 'seen/none']) {
      assert.ok((await answerTo(`last=${last}`)).isCut, last);
    }
    for (const n of [1, 10, 900]) assert.ok((await answerTo(`n=${n}&last=hidden/r0200`)).isCut);
    const { place } = await answerTo('n=5');
    for (const last of ['', 'a', 'hidden/r1990', 'hidden/r2050']) {
      const { text, isCut } = await answerTo(`n=5&last=${last}&place=${place}`);
      assert.deepEqual([text, isCut], ['{"repositories":["seen/one"]}', false], last);
    }
    assert.deepEqual((await answerTo('last=seen/one')).isCut, false);
  });

  test('what is asked of the token service does not depend on a name that the caller makes up', async () => {
    await start({ verifier: tokens.verifier, pullFilter: filter });
    const link = Buffer.from(digestOf(Buffer.from('x')));
    for (const path of ['hidden/a', 'hidden/k', 'hidden/z', 'seen/one']) {
      await driver.put(`/docker/registry/v2/repositories/${path}/_layers/x/link` as never, link);
    }
    const headers = await catalog();
    const work = async (last: string) => {
      filter.asked = 0;
      driver.reset();
      await core.send('GET', `/v2/_catalog?n=2&last=${last}`, { headers });
      return [filter.asked, driver.operations().length];
    };
    const usual = await work('!');
    for (const last of ['hidden/a~', 'hidden/k~', 'hidden/z~', 'seen~', 'z~']) {
      assert.deepEqual(await work(last), usual, last);
    }
  });

  test('a place of another’s making counts as none', async () => {
    await start({ verifier: tokens.verifier, pullFilter: filter });
    await pushBlob(core, 'seen/one', makeLayer(), {
      ...(await tokens.bearer({ access: [may('seen/one', 'pull', 'push')] })),
    });
    for (const place of ['x', 'A'.repeat(400), '%00', '']) {
      const { status, text } = await core.send('GET', `/v2/_catalog?place=${place}`, {
        headers: await catalog(),
      });
      assert.deepEqual([status, text], [200, '{"repositories":["seen/one"]}']);
    }
  });

  for (const [path, folder] of [
    ['/v2/_catalog', (index: number) => `r${index}/_layers/x`],
    ['/v2/team/app/tags/list', (index: number) => `${app}/_manifests/tags/t${index}/current/link`],
  ] as const) {
    test(`a list ends with its client, and too many at once are refused: ${path}`, async () => {
      const gate = createGatedDriver(createMemoryDriver());
      const listings = createSmallBudget({ capacity: 4, maxWait: 20 });
      await start({ driver: gate.driver, budgets: { listings } });
      for (let index = 0; index < 200; index += 1) {
        const file = `/docker/registry/v2/repositories/${folder(index)}` as never;
        await gate.driver.put(file, Buffer.from(digestOf(Buffer.from('x'))));
      }
      gate.close();
      const clients = Array.from({ length: 3 }, () => {
        const outgoing = request({ host: '127.0.0.1', port: core.port, path });
        outgoing.on('error', () => {});
        outgoing.end();
        return outgoing;
      });
      await waitFor('three lists', () => listings.used === 3);
      const refused = await core.send('GET', path);
      assert.deepEqual([refused.status, ...refused.codes], [429, 'TOOMANYREQUESTS']);
      for (const client of clients) client.destroy();
      await waitFor('the core to notice', () => core.left() === 3);
      const before = gate.passed();
      gate.open();
      await waitFor('their end', () => listings.used === 0);
      assert.ok(gate.passed() - before <= 60, `${gate.passed() - before} operations after`);
      assert.equal((await core.send('GET', path)).status, 200);
    });
  }

  test('the referrers of one page cost a bounded reading', async () => {
    await start();
    const subject = makeLayer();
    const config = makeLayer();
    await pushBlob(core, app, config);
    const total = 2300;
    const name = parseRepositoryName(app);
    for (let index = 0; index < total; index += 1) {
      const mediaType = mediaTypes.ociManifest;
      const artifactType = index % 1000 === 0 ? 'test/rare' : 'test/usual';
      const referrer = describeJson(mediaType, {
        schemaVersion: 2,
        mediaType,
        artifactType,
        config: config.descriptor,
        layers: [],
        subject: subject.descriptor,
        annotations: { index: String(index) },
      });
      const { digest } = referrer.descriptor;
      await driver.put(paths.blob(digest), referrer.bytes);
      await driver.put(paths.revisionLink(name, digest), Buffer.from(digest));
      await driver.put(
        paths.referrer(name, subject.descriptor.digest, digest),
        Buffer.from(digest),
      );
    }
    const digests: string[] = [];
    let path: string | undefined =
      `/v2/${app}/referrers/${subject.descriptor.digest}?artifactType=test/rare`;
    let pages = 0;
    for (; path !== undefined; pages += 1) {
      driver.reset();
      const answer = await core.send('GET', path);
      assert.ok(driver.operations().length < 2000 * 3 + 20);
      const { manifests } = JSON.parse(answer.text) as { manifests: { digest: string }[] };
      digests.push(...manifests.map(({ digest }) => digest));
      path = /^<([^>]+)>/.exec(String(answer.headers.link ?? ''))?.[1];
    }
    assert.equal(pages, 2);
    assert.equal(new Set(digests).size, 3);
  });
});
