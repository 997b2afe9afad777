import assert from 'node:assert/strict';
import { beforeEach, describe, test } from 'node:test';
import { OwnedTree, owns, recordOfOther } from '../../../test/support/owned-tree.ts';

describe('a tree whose cores agree in Redis', () => {
  let tree: OwnedTree;

  beforeEach(() => {
    tree = new OwnedTree();
  });

  test('is shared at once by cores that agree in Redis, and outlives each of them', async () => {
    const first = await tree.owning(true);
    const second = await tree.owning(true);
    for (const one of [first, second, first]) await one.step();
    await first.release();
    await second.step();
    await tree.owning(true);
    const { id, counter } = await tree.record();
    assert.equal(id, 'redis');
    assert.ok(Number(counter) > 3);
    assert.deepEqual(await tree.names(), ['1']);
  });

  test('is shared with cores that agree in Redis and know no claims', async () => {
    await tree.writeRecord(recordOfOther(5, 'redis'));
    const owner = await tree.owning(true);
    assert.ok(Number((await tree.record()).counter) > 5);
    await tree.writeRecord(recordOfOther(9, 'redis'));
    await owner.step();
    assert.ok(owns(owner));
    await tree.owning(true);
  });

  test('keeps cores that agree in Redis, and one that is alone, from each other', async () => {
    const shared = await tree.owning(true);
    const alone = tree.candidate();
    for (let second = 0; second <= 60; second += 1) {
      await shared.step();
      await alone.step();
      tree.time += 1000;
    }
    assert.match(alone.ended()?.message ?? '', /is using this storage; .*redis:/);
    await shared.release();
    const later = tree.candidate();
    await later.step();
    tree.time += 15_000;
    await later.step();
    assert.ok(owns(later));
    await shared.step();
    const kept = tree.candidate(true);
    for (let second = 0; second <= 60; second += 1) {
      await later.step();
      await kept.step();
      tree.time += 1000;
    }
    assert.match(kept.ended()?.message ?? '', /without redis:; stop it first/);
  });

  test('of several that agree in Redis and start at once, all have it', async () => {
    const all = Array.from({ length: 4 }, () => tree.candidate(true));
    for (let round = 0; round < 3; round += 1) {
      await Promise.all(all.map((owner) => owner.step()));
    }
    assert.ok(all.every(owns));
    assert.deepEqual(await tree.names(), ['1']);
  });
});
