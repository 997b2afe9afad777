import assert from 'node:assert/strict';
import { test } from 'node:test';
import { digestOf } from '#libs/oci/digest.ts';
import { parseRepositoryName } from '#libs/oci/reference.ts';
import { inOrder, type ManifestItem } from './empty-trash.ts';
import { createEpoch } from './epoch.ts';

const repository = parseRepositoryName('team/app');
const items = Array.from(
  { length: 12_000 },
  (_, index): ManifestItem => ({
    kind: 'manifest',
    repository,
    digest: digestOf(Buffer.from(`${index}`)),
  }),
);
const epoch = createEpoch(new Date(0));
const due = items.map((item) => ({ epoch, item }));

test('what others are about comes before these, however long the chain', async () => {
  const next = new Map(items.map(({ digest }, index) => [digest, items[index + 1]]));
  const subjectsOf = ({ digest }: ManifestItem) => {
    const subject = next.get(digest);
    return subject === undefined ? [] : [subject];
  };
  for (const order of [due, [...due].reverse()]) {
    assert.deepEqual(await inOrder(order, subjectsOf), [...due].reverse());
  }
});

test('what several others come before comes after all of them', async () => {
  const [one, two, three] = items.slice(0, 3) as [ManifestItem, ManifestItem, ManifestItem];
  const before = (item: ManifestItem) => {
    if (item === three) return [one, two];
    return item === one ? [two] : [];
  };
  for (const order of [
    [0, 1, 2],
    [2, 0, 1],
    [2, 1, 0],
  ]) {
    const sorted = await inOrder(
      order.map((index) => due[index] as (typeof due)[number]),
      before,
    );
    assert.deepEqual(
      sorted.map(({ item }) => item),
      [two, one, three],
    );
  }
});

test('a circle, which only a broken index can have, comes once', async () => {
  const [one, other] = items.slice(0, 2) as [ManifestItem, ManifestItem];
  const subjectsOf = (item: ManifestItem) => [item === one ? other : one];
  assert.equal((await inOrder(due.slice(0, 2), subjectsOf)).length, 2);
});
