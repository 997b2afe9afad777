import assert from 'node:assert/strict';
import { test } from 'node:test';
import { digestOf } from '#libs/oci/digest.ts';
import { parseRepositoryName } from '#libs/oci/reference.ts';
import { type ManifestItem, subjectsFirst } from './empty-trash.ts';

const repository = parseRepositoryName('team/app');
const items = Array.from(
  { length: 12_000 },
  (_, index): ManifestItem => ({
    kind: 'manifest',
    repository,
    digest: digestOf(Buffer.from(`${index}`)),
  }),
);
const due = items.map((item) => ({ epoch: 'e', item }));

test('what others are about comes before these, however long the chain', () => {
  const next = new Map(items.map(({ digest }, index) => [digest, items[index + 1]]));
  const subjectsOf = ({ digest }: ManifestItem) => {
    const subject = next.get(digest);
    return subject === undefined ? [] : [subject];
  };
  for (const order of [due, [...due].reverse()]) {
    assert.deepEqual(subjectsFirst(order, subjectsOf), [...due].reverse());
  }
});

test('a circle, which only a broken index can have, comes once', () => {
  const [one, other] = items.slice(0, 2) as [ManifestItem, ManifestItem];
  const subjectsOf = (item: ManifestItem) => [item === one ? other : one];
  assert.equal(subjectsFirst(due.slice(0, 2), subjectsOf).length, 2);
});
