import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { type Core, pushBlob, pushImage, type Received, startCore } from '../support/core.ts';
import { describeEachStorage, type OpenStorage } from '../support/each-storage.ts';
import { makeImage, makeLayer } from '../support/images.ts';

const repositories = ['a', 'a-b', 'a.b', 'a/b', 'a/b/c', 'a_b', 'team/app', 'z'];
const tags = ['1.0', 'B', 'a', 'latest', 'v1', 'v1.0', 'v1.1'];

describeEachStorage('listings through the API', (open) => {
  let storage: OpenStorage;
  let core: Core;

  before(async () => {
    storage = await open();
    core = await startCore({ driver: storage.driver, pageSize: { catalog: 5, tags: 4 } });
    for (const name of [...repositories].reverse()) await pushBlob(core, name, makeLayer());
    const image = makeImage();
    for (const tag of [...tags].reverse()) await pushImage(core, 'team/app', image, tag);
  });

  after(async () => {
    await core.close();
    await storage.close();
  });

  function entriesOf({ status, text }: Received, key: 'tags' | 'repositories'): string[] {
    assert.equal(status, 200, text);
    return (JSON.parse(text) as Record<typeof key, string[]>)[key];
  }

  /** The address of the next page, as a client reads it. */
  function nextOf({ headers }: Received): string | undefined {
    const link = headers.link;
    if (link === undefined) return undefined;
    const match = /^<([^>]+)>; rel="next"$/.exec(String(link));
    assert.ok(match?.[1] !== undefined, `a Link of the usual form: ${link}`);
    return match[1];
  }

  for (const [path, key, all, max] of [
    ['/v2/team/app/tags/list', 'tags', tags, 4],
    ['/v2/_catalog', 'repositories', repositories, 5],
  ] as const) {
    test(`${path} walks all pages of any size without a gap or a repeat`, async () => {
      for (const n of ['', '1', '2', '3', '4', '5', '100', '999999999999999']) {
        const found: string[] = [];
        let next: string | undefined = n === '' ? path : `${path}?n=${n}`;
        while (next !== undefined) {
          const answer: Received = await core.send('GET', next);
          const entries = entriesOf(answer, key);
          assert.ok(entries.length <= Math.min(max, Number(n === '' ? max : n)), `page of ${n}`);
          found.push(...entries);
          next = nextOf(answer);
          if (next !== undefined) assert.ok(entries.length > 0, 'no empty page before the last');
        }
        assert.deepEqual(found, all, `n=${n}`);
      }
    });

    test(`${path} gives no Link with a page that ends the list`, async () => {
      const beforeLast = all[all.length - 3];
      const answer = await core.send('GET', `${path}?n=2&last=${beforeLast}`);
      assert.deepEqual(entriesOf(answer, key), all.slice(-2));
      assert.equal(answer.headers.link, undefined);
    });

    test(`${path} starts after any last, there or not`, async () => {
      for (const last of ['', '0', 'a', 'a-', 'a/', 'a~', 'b', 'v1', 'zz', '%ff', 'a%20b']) {
        const answer = await core.send('GET', `${path}?n=3&last=${last}`);
        const decoded = last === '%ff' ? '\ufffd' : decodeURIComponent(last);
        const expected = all.filter((name) => name > decoded).slice(0, 3);
        assert.deepEqual(entriesOf(answer, key), expected, `last=${last}`);
      }
    });

    test(`${path}?n=0 is an empty list`, async () => {
      const answer = await core.send('GET', `${path}?n=0`);
      assert.deepEqual(entriesOf(answer, key), []);
      assert.equal(answer.headers.link, undefined);
    });

    for (const n of ['-1', 'abc', '1.5', '0x10', '+1', '1e3', ' 1', '9'.repeat(30)]) {
      test(`${path}?n=${n.slice(0, 10)} is refused`, async () => {
        const answer = await core.send('GET', `${path}?n=${encodeURIComponent(n)}`);
        assert.deepEqual([answer.status, ...answer.codes], [400, 'PAGINATION_NUMBER_INVALID']);
      });
    }
  }

  test('a tag list names its repository and is JSON', async () => {
    const { headers, text } = await core.send('GET', '/v2/team/app/tags/list?n=1');
    assert.deepEqual(JSON.parse(text), { name: 'team/app', tags: ['1.0'] });
    assert.match(headers['content-type'] ?? '', /^application\/json/);
  });

  test('a repository without tags has an empty list; an unknown one is unknown', async () => {
    assert.deepEqual(entriesOf(await core.send('GET', '/v2/z/tags/list'), 'tags'), []);
    const answer = await core.send('GET', '/v2/unknown/tags/list');
    assert.deepEqual([answer.status, ...answer.codes], [404, 'NAME_UNKNOWN']);
  });
});
