import assert from 'node:assert/strict';
import { hostname } from 'node:os';
import { beforeEach, describe, test } from 'node:test';
import { OwnedTree, owns, recordOfOther, times } from '../../../test/support/owned-tree.ts';
import { waitFor } from '../../../test/support/wait-for.ts';
import { paths } from '../registry/paths.ts';
import type { Owner } from './owner.ts';

describe('the owner of a tree', () => {
  let tree: OwnedTree;

  beforeEach(() => {
    tree = new OwnedTree();
  });

  test('has it at the first look at a tree of nobody, and says who it is', async () => {
    const owner = await tree.owning();
    await owner.assertOwned();
    const { host, claim } = await tree.record();
    assert.deepEqual([host, claim, await tree.names(), tree.prepared], [hostname(), 1, ['1'], 1]);
    assert.deepEqual(tree.messages(), []);
  });

  test('shows with each step that it lives, also to cores that know the record alone', async () => {
    const owner = await tree.owning();
    const { counter } = await tree.record();
    await owner.step();
    assert.equal((await tree.record()).counter, Number(counter) + 1);
  });

  test('gives the tree back when it is done, and its number is not used again', async () => {
    const owner = await tree.owning();
    await owner.release();
    await assert.rejects(tree.driver.stat(paths.owner), { code: 'not-found' });
    assert.deepEqual(await tree.names(), ['1.released']);
    await tree.owning();
    assert.deepEqual(await tree.names(), ['2']);
    assert.deepEqual(tree.messages(), []);
  });

  test('takes its record away before its claim: the next one’s stays, however soon that comes', async () => {
    const owner = await tree.owning();
    let next: Owner | undefined;
    const { rename } = tree.driver;
    tree.driver.rename = async (...args) => {
      await rename.apply(tree.driver, args);
      tree.driver.rename = rename;
      next = await tree.owning();
    };
    await owner.release();
    assert.ok(next !== undefined && owns(next));
    assert.equal((await tree.record()).claim, 2);
    await next.step();
    assert.ok(owns(next));
    assert.deepEqual(tree.messages(), []);
  });

  test('is one, also where another had the tree and gave it back between a look and a claim', async () => {
    const heldUp = tree.candidate();
    const { openWriter } = tree.driver;
    tree.driver.openWriter = async (...args) => {
      tree.driver.openWriter = openWriter;
      await (await tree.owning()).release();
      return await openWriter.apply(tree.driver, args);
    };
    await heldUp.step();
    const other = tree.candidate();
    await other.step();
    await heldUp.step();
    const all = [heldUp, other];
    assert.equal(all.filter(owns).length, 1);
    const mayWrite = await Promise.allSettled(all.map((owner) => owner.assertOwned()));
    assert.equal(mayWrite.filter(({ status }) => status === 'fulfilled').length, 1);
    assert.equal(tree.prepared, 2, 'nobody clears what an owner is writing');
  });

  test('is one, of however many that start at once', async () => {
    const all = Array.from({ length: 8 }, () => tree.candidate());
    await Promise.all(all.map((owner) => owner.step()));
    assert.equal(all.filter(owns).length, 1);
    assert.equal(tree.prepared, 1, 'who lost clears nothing');
    const lost = all.find((owner) => !owns(owner));
    await assert.rejects(lost?.assertOwned() ?? Promise.resolve(), { name: 'NotOwnerError' });
  });

  test('is one, of however many that see at once that the last is dead', async () => {
    await tree.owning();
    tree.prepared = 0;
    tree.liveness = 'dead';
    const all = Array.from({ length: 8 }, () => tree.candidate());
    await Promise.all(all.map((owner) => owner.step()));
    assert.equal(all.filter(owns).length, 1);
    assert.equal(tree.prepared, 1);
    assert.deepEqual(await tree.names(), ['2']);
  });

  test('that claimed with an old number, because it was held up, loses and leaves the other alone', async () => {
    let held: PromiseWithResolvers<void> | undefined = Promise.withResolvers<void>();
    // Held up between its look at the tree and its claim.
    const driver = new Proxy(tree.driver, {
      get(target, name) {
        if (name !== 'openWriter') return Reflect.get(target, name);
        return async (...args: Parameters<typeof tree.driver.openWriter>) => {
          await held?.promise;
          return await target.openWriter(...args);
        };
      },
    });
    const slow = tree.candidate(false, driver);
    const stepping = slow.step();
    const [first, second] = [await tree.owning(), tree.candidate()];
    await first.release();
    await second.step();
    await second.step();
    assert.deepEqual(await tree.names(), ['2']);
    held.resolve();
    held = undefined;
    await stepping;
    assert.ok(!owns(slow));
    assert.deepEqual(await tree.names(), ['2']);
    await second.step();
    assert.ok(owns(second));
  });

  test('is refused while another lives, in words that name it and the way out', async () => {
    let counter = 0;
    const owner = tree.candidate();
    for (let second = 0; second <= 60; second += 1) {
      assert.equal(owner.ended(), undefined, `after ${second} s`);
      if (second % 5 === 0) await tree.writeRecord(recordOfOther(++counter));
      await owner.step();
      tree.time += 1000;
    }
    assert.match(owner.ended()?.message ?? '', /the core on elsewhere .*redis:/);
    assert.equal(tree.messages().length, 1);
    assert.match(
      tree.messages()[0] ?? '',
      /^warn: another core owns this storage; refusing writes until it stops/,
    );
    assert.equal((await tree.record()).id, 'other');
    assert.deepEqual(await tree.names(), []);
  });

  test('waits while another is proved to live, however still it is', async () => {
    await tree.owning();
    tree.liveness = 'alive';
    const owner = tree.candidate();
    for (let second = 0; second < 60; second += 1) {
      await owner.step();
      assert.ok(!owns(owner) && owner.ended() === undefined);
      tree.time += 1000;
    }
    await owner.step();
    assert.ok(owner.ended() !== undefined);
  });

  test('waits for a command that lives, which is over by itself, and then has the tree', async () => {
    const command = tree.candidate(false, tree.driver, true);
    await command.step();
    assert.ok(owns(command));
    const owner = tree.candidate();
    for (let second = 0; second < 120; second += 1) {
      await command.step();
      await owner.step();
      assert.equal(owner.ended(), undefined);
      assert.match(owner.reason() ?? '', /a command on .* owns the storage/);
      tree.time += 1000;
    }
    assert.match(tree.messages().join(), /a command repairs this storage; waiting/);
    await command.release();
    await owner.step();
    assert.ok(owns(owner));
  });

  test('follows another that stands still for 15 s of our clock, and not before', async () => {
    await tree.owning();
    const owner = tree.candidate();
    await owner.step();
    tree.time += 14_999;
    await owner.step();
    assert.ok(!owns(owner));
    tree.time += 1;
    await owner.step();
    assert.ok(owns(owner));
    assert.deepEqual(await tree.names(), ['2']);
    assert.ok(tree.messages().some((text) => text.startsWith('warn: the previous owner')));
  });

  test('sees that another lives by the time of its claim, where its disk is full', async () => {
    const first = await tree.owning();
    const touched = new Date(tree.time);
    const owner = tree.candidate();
    await owner.step();
    tree.driver.failOn('no-space', (operation) => operation === 'put');
    tree.time += 10_000;
    // The storage's clock is the real one: in the same millisecond nothing would have changed.
    const now = Date.now();
    await waitFor('another millisecond', () => Date.now() > now + 1);
    await assert.rejects(first.step(), { code: 'no-space' });
    assert.notDeepEqual((await tree.driver.stat(paths.claim(1))).modified, touched);
    tree.time += 10_000;
    await owner.step();
    assert.ok(!owns(owner) && owns(first));
  });

  test('follows at once one that is proved dead, or that gives the tree back', async () => {
    const first = await tree.owning();
    const second = tree.candidate();
    await second.step();
    assert.ok(!owns(second));
    await first.release();
    await second.step();
    assert.ok(owns(second));
    tree.liveness = 'dead';
    await tree.owning();
    assert.deepEqual(await tree.names(), ['3']);
  });

  test('learns that another has taken over, writes no more, and leaves that one alone', async () => {
    const first = await tree.owning();
    tree.liveness = 'dead';
    const second = await tree.owning();
    await first.step();
    assert.match(first.ended()?.message ?? '', /has taken this storage over/);
    await assert.rejects(first.assertOwned(), { name: 'NotOwnerError' });
    await first.release();
    await second.step();
    await second.assertOwned();
    assert.deepEqual(await tree.names(), ['2']);
  });

  test('that was held up looks again before it writes', async () => {
    const first = await tree.owning();
    tree.liveness = 'dead';
    await tree.owning();
    await first.assertOwned();
    tree.time += times.goodFor;
    await assert.rejects(first.assertOwned(), { name: 'NotOwnerError' });
  });

  test('of a version before claims is waited for, and followed', async () => {
    await tree.writeRecord(recordOfOther(7));
    const owner = tree.candidate();
    await owner.step();
    assert.ok(!owns(owner));
    tree.time += 15_000;
    await owner.step();
    assert.ok(owns(owner));
    assert.equal((await tree.record()).host, hostname());
  });

  test('of a version before claims that comes back is obeyed', async () => {
    const owner = await tree.owning();
    await tree.writeRecord(recordOfOther(1));
    await owner.step();
    assert.match(owner.ended()?.message ?? '', /the core on elsewhere has taken/);
    await owner.release();
    assert.equal((await tree.record()).id, 'other');
  });

  test('does not write before one that knows no claims can read of it', async () => {
    await tree.writeRecord(recordOfOther(7));
    tree.driver.failOn('no-space', (operation) => operation === 'put');
    const owner = tree.candidate();
    await owner.step();
    tree.time += 15_000;
    await assert.rejects(owner.step(), { code: 'no-space' });
    await assert.rejects(owner.assertOwned(), { name: 'NotOwnerError' });
    tree.driver.recover();
    await owner.step();
    assert.ok(owns(owner));
    assert.deepEqual(await tree.names(), ['1']);
  });

  for (const content of ['', '{', '[]', 'null', '{"id":1,"counter":"2"}']) {
    test(`takes a tree whose record says ${content === '' ? 'nothing' : content}`, async () => {
      await tree.writeRecord(content);
      await tree.owning();
      assert.equal((await tree.record()).host, hostname());
    });
  }

  test('takes a tree whose disk is full: the claim is a file without a byte', async () => {
    tree.driver.failOn('no-space', (operation) => operation === 'put' || operation === 'write');
    const owner = await tree.owning();
    await owner.assertOwned();
    await assert.rejects(owner.step(), { code: 'no-space' });
    assert.ok(owns(owner));
    tree.driver.recover();
    await owner.step();
    assert.equal((await tree.record()).claim, 1);
  });

  test('gets a tree that took no claim when it takes one again', async () => {
    tree.driver.failOn('no-space', (operation) => operation === 'openWriter');
    const owner = tree.candidate();
    await assert.rejects(owner.step(), { code: 'no-space' });
    tree.time += 100_000;
    await assert.rejects(owner.step(), { code: 'no-space' });
    assert.equal(owner.ended(), undefined);
    tree.driver.recover();
    await owner.step();
    assert.ok(owns(owner));
  });

  test('is not had where the storage cannot be read', async () => {
    tree.driver.failOn('failed', (operation) => operation === 'read');
    await tree.writeRecord(recordOfOther(1));
    const owner = tree.candidate();
    await assert.rejects(owner.step(), { code: 'failed' });
    assert.ok(!owns(owner));
  });

  test('claims again when somebody removed its claim', async () => {
    const owner = await tree.owning();
    await tree.driver.remove(paths.claims);
    await owner.step();
    await owner.step();
    assert.ok(owns(owner));
    assert.deepEqual(await tree.names(), ['1']);
  });
});
