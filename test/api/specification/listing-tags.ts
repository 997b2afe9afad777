import assert from 'node:assert/strict';
import type { Received } from '../../support/core.ts';
import { anyBlob, anyImage, type ObjectSet } from './data-sets.ts';
import {
  expectStatus,
  jsonOf,
  nextPageOf,
  pagesFrom,
  type RepositoryFixture,
} from './repository-fixture.ts';
import { must, once, type Requirement } from './requirement.ts';

const section = 'Listing Tags';

/** An image under several tags, set in another order than theirs. */
interface TagSet extends ObjectSet {
  tags: readonly string[];
}

const tagged = (name: string, ...tags: string[]): TagSet => ({ ...anyImage, name, tags });

const tagSets: readonly TagSet[] = [
  tagged('one tag', 'latest'),
  tagged('versions', 'v1.0', '10', '1.10', '2', '1.9', 'v1', '1.0', 'v1.0.1'),
  tagged('all characters', 'b', 'a', '_', 'Z', 'a-b', 'B', 'a_b', 'a-', 'A', 'a.b', '_.'),
  tagged('thirty tags', ...Array.from({ length: 30 }, (_, index) => `t${(index * 7) % 30}`)),
];
const severalTags = tagSets.filter(({ tags }) => tags.length > 1);

interface TagList {
  name: string;
  tags: string[];
}

const tagsOf = (answer: Received) => jsonOf<TagList>(answer).tags;
const sorted = ({ tags }: TagSet) => [...tags].sort();

async function list(fixture: RepositoryFixture, query = ''): Promise<string[]> {
  const answer = await fixture.send('GET', `tags/list${query}`);
  expectStatus(answer, 200);
  return tagsOf(answer);
}

export const listingTags: readonly Requirement[] = [
  must(
    section,
    'the list is JSON that names the repository and every tag',
    tagSets,
    async ({ holding }, set) => {
      const fixture = await holding(set);
      const answer = await fixture.send('GET', 'tags/list');
      expectStatus(answer, 200);
      assert.match(String(answer.headers['content-type']), /^application\/json\b/);
      const { name, tags } = jsonOf<TagList>(answer);
      assert.equal(name, fixture.name);
      assert.deepEqual([...tags].sort(), sorted(set));
    },
  ),

  must(section, 'the tags are in order', tagSets, async ({ holding }, set) => {
    const fixture = await holding(set);
    assert.deepEqual(await list(fixture), sorted(set));
  }),

  must(section, 'a repository without tags has an empty list', once, async (fixture) => {
    await fixture.pushBlob(anyBlob);
    assert.deepEqual(await list(fixture), []);
    await fixture.push(anyImage);
    assert.deepEqual(await list(fixture), []);
  }),

  must(section, 'a repository that is none is 404', once, async (fixture) => {
    expectStatus(await fixture.send('GET', 'tags/list'), 404, 'NAME_UNKNOWN');
  }),

  must(section, 'n gives as many from the beginning, or all', tagSets, async ({ holding }, set) => {
    const fixture = await holding(set);
    for (const n of [1, 2, set.tags.length, set.tags.length + 1, 10_000]) {
      assert.deepEqual(await list(fixture, `?n=${n}`), sorted(set).slice(0, n), `n=${n}`);
    }
  }),

  must(section, 'n=0 gives an empty list without a Link', tagSets, async ({ holding }, set) => {
    const fixture = await holding(set);
    for (const query of ['?n=0', '?n=0&last=a']) {
      const answer = await fixture.send('GET', `tags/list${query}`);
      expectStatus(answer, 200);
      assert.deepEqual([tagsOf(answer), answer.headers.link], [[], undefined]);
    }
  }),

  must(section, 'last gives what comes after that tag', tagSets, async ({ holding }, set) => {
    const fixture = await holding(set);
    for (const [index, last] of sorted(set).entries()) {
      assert.deepEqual(await list(fixture, `?last=${last}`), sorted(set).slice(index + 1));
    }
  }),

  must(section, 'n and last give as many after that tag', severalTags, async ({ holding }, set) => {
    const fixture = await holding(set);
    for (const [index, last] of sorted(set).entries()) {
      const expected = sorted(set).slice(index + 1, index + 3);
      assert.deepEqual(await list(fixture, `?n=2&last=${last}`), expected);
    }
  }),

  must(
    section,
    'a page shorter than n has a Link, or is the last one',
    severalTags,
    async ({ holding }, set) => {
      const fixture = await holding(set);
      const small = await fixture.servedBy({ pageSize: { catalog: 1, tags: 3 } });
      const answer = await small.send('GET', 'tags/list?n=5');
      expectStatus(answer, 200);
      assert.ok(tagsOf(answer).length >= Math.min(5, set.tags.length) || nextPageOf(answer));
    },
  ),

  must(
    section,
    'the Link leads to the next page; all pages give every tag once',
    tagSets,
    async ({ holding }, set) => {
      const fixture = await holding(set);
      const small = await fixture.servedBy({ pageSize: { catalog: 1, tags: 3 } });
      for (const query of ['', '?n=1', '?n=2', '?n=7', '?n=1000']) {
        const pages = await pagesFrom(small, `tags/list${query}`);
        assert.deepEqual(pages.flatMap(tagsOf), sorted(set), query);
      }
    },
  ),

  must(section, 'a page that ends the list has no Link', tagSets, async ({ holding }, set) => {
    const fixture = await holding(set);
    for (const query of ['', `?n=${set.tags.length}`, `?n=1&last=${sorted(set).at(-2) ?? ''}`]) {
      const { headers } = await fixture.send('GET', `tags/list${query}`);
      assert.equal(headers.link, undefined, query);
    }
  }),
];
