/**
 * The distribution specification as a table: each requirement that a registry can be tested for is
 * one row, in the file of its chapter, and is checked with every data set it applies to. To audit it,
 * read a section of the specification beside the rows that bear its title.
 */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { type Core, startCore } from '../../support/core.ts';
import { describeEachStorage, type OpenStorage } from '../../support/each-storage.ts';
import { abilities } from './abilities.ts';
import { api } from './api.ts';
import { listingReferrers } from './listing-referrers.ts';
import { listingTags } from './listing-tags.ts';
import { management } from './management.ts';
import { pulling } from './pulling.ts';
import { pushingBlobs } from './pushing-blobs.ts';
import { pushingChunks } from './pushing-chunks.ts';
import { pushingManifests } from './pushing-manifests.ts';
import {
  createRepositoryFixture,
  type RepositoryFixture,
  shareRepositories,
} from './repository-fixture.ts';
import type { Case, Requirement } from './requirement.ts';

const table: readonly Requirement[] = [
  ...pulling,
  ...pushingBlobs,
  ...pushingChunks,
  ...pushingManifests,
  ...listingTags,
  ...listingReferrers,
  ...management,
  ...api,
  ...abilities,
];

test('each requirement has one row, and each row a case', () => {
  const rows = table.map(({ section, requirement }) => `${section}: ${requirement}`);
  assert.deepEqual([...new Set(rows)], rows);
  for (const { requirement, cases } of table) {
    assert.ok(cases.length > 0, requirement);
    assert.equal(new Set(cases.map(({ name }) => name)).size, cases.length, requirement);
  }
});

describeEachStorage('the specification', (open) => {
  let storage: OpenStorage;
  let core: Core;
  let played = 0;

  before(async () => {
    storage = await open();
    core = await startCore({ driver: storage.driver });
  });

  after(async () => {
    await core.close();
    await storage.close();
  });

  const at = (name: string, closeLater: (other: Core) => void = () => {}): RepositoryFixture =>
    createRepositoryFixture({ core, driver: storage.driver, name, shared, closeLater });
  const shared = shareRepositories(at);

  async function play({ check }: Case): Promise<void> {
    played += 1;
    const others: Core[] = [];
    try {
      await check(at(`case-${played}/app`, (other) => others.push(other)));
    } finally {
      for (const other of others) await other.close();
    }
  }

  for (const section of new Set(table.map((row) => row.section))) {
    // Cases mostly wait for the disk, and none sees what another one pushed.
    describe(section, { concurrency: 8 }, () => {
      for (const { level, requirement, cases } of table.filter((row) => row.section === section)) {
        for (const one of cases) {
          const title = `${level}: ${requirement}${one.name === '' ? '' : `, with ${one.name}`}`;
          test(title.slice(0, 200), async () => await play(one));
        }
      }
    });
  }

  test('nothing of the above was an error of ours', () => {
    const errors = core.problems().filter((message) => message.startsWith('error:'));
    assert.deepEqual(errors, []);
  });
});
