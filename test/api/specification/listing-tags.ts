import assert from 'node:assert/strict';
import type { Received } from '../../support/core.ts';
import { anyBlob, anyImage } from './data-sets.ts';
import { expectStatus, type Ground, jsonOf, nextPageOf, pagesFrom } from './ground.ts';
import { must, once, type Requirement } from './requirement.ts';

const section = 'Listing Tags';

interface TagSet {
  name: string;
  tags: readonly string[];
}

const tagSets: readonly TagSet[] = [
  { name: 'one tag', tags: ['latest'] },
  { name: 'versions', tags: ['1.0', '1.10', '1.9', '10', '2', 'v1', 'v1.0', 'v1.0.1'] },
  { name: 'all characters', tags: ['A', 'B', 'Z', '_', '_.', 'a', 'a-', 'a-b', 'a.b', 'a_b', 'b'] },
  { name: 'thirty tags', tags: Array.from({ length: 30 }, (_, index) => `t${index + 10}`) },
];
const severalTags = tagSets.filter(({ tags }) => tags.length > 1);

interface TagList {
  name: string;
  tags: string[];
}

const tagsOf = (answer: Received) => jsonOf<TagList>(answer).tags;
const sorted = ({ tags }: TagSet) => [...tags].sort();

/** Sets the tags, not in their order. */
async function tag(ground: Ground, { tags }: TagSet): Promise<void> {
  await ground.push(anyImage);
  const { bytes, descriptor } = anyImage.root;
  const query = sorted({ name: '', tags })
    .reverse()
    .map((one) => `tag=${one}`)
    .join('&');
  const headers = { 'Content-Type': descriptor.mediaType };
  const path = `manifests/${descriptor.digest}?${query}`;
  expectStatus(await ground.send('PUT', path, { body: bytes, headers }), 201);
}

async function list(ground: Ground, query = ''): Promise<string[]> {
  const answer = await ground.send('GET', `tags/list${query}`);
  expectStatus(answer, 200);
  return tagsOf(answer);
}

export const listingTags: readonly Requirement[] = [
  must(
    section,
    'the list is JSON that names the repository and every tag',
    tagSets,
    async (ground, set) => {
      await tag(ground, set);
      const answer = await ground.send('GET', 'tags/list');
      expectStatus(answer, 200);
      assert.match(String(answer.headers['content-type']), /^application\/json\b/);
      const { name, tags } = jsonOf<TagList>(answer);
      assert.equal(name, ground.name);
      assert.deepEqual([...tags].sort(), sorted(set));
    },
  ),

  must(section, 'the tags are in order', tagSets, async (ground, set) => {
    await tag(ground, set);
    assert.deepEqual(await list(ground), sorted(set));
  }),

  must(section, 'a repository without tags has an empty list', once, async (ground) => {
    await ground.pushBlob(anyBlob);
    assert.deepEqual(await list(ground), []);
    await ground.push(anyImage);
    assert.deepEqual(await list(ground), []);
  }),

  must(section, 'a repository that is none is 404', once, async (ground) => {
    expectStatus(await ground.send('GET', 'tags/list'), 404, 'NAME_UNKNOWN');
  }),

  must(section, 'n gives as many from the beginning, or all', tagSets, async (ground, set) => {
    await tag(ground, set);
    for (const n of [1, 2, set.tags.length, set.tags.length + 1, 10_000]) {
      assert.deepEqual(await list(ground, `?n=${n}`), sorted(set).slice(0, n), `n=${n}`);
    }
  }),

  must(section, 'n=0 gives an empty list without a Link', tagSets, async (ground, set) => {
    await tag(ground, set);
    for (const query of ['?n=0', '?n=0&last=a']) {
      const answer = await ground.send('GET', `tags/list${query}`);
      expectStatus(answer, 200);
      assert.deepEqual([tagsOf(answer), answer.headers.link], [[], undefined]);
    }
  }),

  must(section, 'last gives what comes after that tag', tagSets, async (ground, set) => {
    await tag(ground, set);
    for (const [index, last] of sorted(set).entries()) {
      assert.deepEqual(await list(ground, `?last=${last}`), sorted(set).slice(index + 1));
    }
  }),

  must(section, 'n and last give as many after that tag', severalTags, async (ground, set) => {
    await tag(ground, set);
    for (const [index, last] of sorted(set).entries()) {
      const expected = sorted(set).slice(index + 1, index + 3);
      assert.deepEqual(await list(ground, `?n=2&last=${last}`), expected);
    }
  }),

  must(
    section,
    'a page shorter than n has a Link, or is the last one',
    severalTags,
    async (ground, set) => {
      await tag(ground, set);
      const small = await ground.servedBy({ pageSize: { catalog: 1, tags: 3 } });
      const answer = await small.send('GET', 'tags/list?n=5');
      expectStatus(answer, 200);
      assert.ok(tagsOf(answer).length >= Math.min(5, set.tags.length) || nextPageOf(answer));
    },
  ),

  must(
    section,
    'the Link leads to the next page; all pages give every tag once',
    tagSets,
    async (ground, set) => {
      await tag(ground, set);
      const small = await ground.servedBy({ pageSize: { catalog: 1, tags: 3 } });
      for (const query of ['', '?n=1', '?n=2', '?n=7', '?n=1000']) {
        const pages = await pagesFrom(small, `tags/list${query}`);
        assert.deepEqual(pages.flatMap(tagsOf), sorted(set), query);
      }
    },
  ),

  must(section, 'a page that ends the list has no Link', tagSets, async (ground, set) => {
    await tag(ground, set);
    for (const query of ['', `?n=${set.tags.length}`, `?n=1&last=${sorted(set).at(-2) ?? ''}`]) {
      const { headers } = await ground.send('GET', `tags/list${query}`);
      assert.equal(headers.link, undefined, query);
    }
  }),
];
