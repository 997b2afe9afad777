import assert from 'node:assert/strict';
import { randomInt } from 'node:crypto';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { checkTree } from '../../services/core/registry/fsck/check-tree.ts';
import { createFilesystemDriver } from '../../services/core/storage/filesystem/filesystem.ts';
import { type CoreProcess, startCoreProcess } from './core-process.ts';
import { Journal } from './journal.ts';
import { createScenario } from './scenario.ts';

/** How many of the steps are tried; all of them with CHAOS=1. */
const budget = process.env.CHAOS === undefined ? { kill: 20, fail: 30 } : { kill: 1e6, fail: 1e6 };

/** Every step, or evenly spread ones from a random first on. */
function chooseSteps(total: number, count: number): number[] {
  const stride = Math.max(1, Math.ceil(total / count));
  const first = 1 + randomInt(stride);
  return Array.from({ length: total }, (_, index) => index + 1).filter(
    (step) => step >= first && (step - first) % stride === 0,
  );
}

/** What a crash may leave: an upload in the middle, and a list entry that is passed over. */
const harmless = new Set(['orphan-upload', 'stale-referrer', 'stale-tag']);

describe('a core whose storage is interrupted at a step', () => {
  let core: CoreProcess;
  let journals: Journal[];

  beforeEach(async () => {
    core = await startCoreProcess();
    journals = [];
  });

  afterEach(async () => {
    await core.remove();
  });

  const below = (path: string) => join(core.root, 'docker/registry/v2', path);

  async function countSteps(): Promise<number> {
    const scenario = createScenario(core, new Journal(), 'count');
    await scenario.prepare();
    await core.arm(0, 'count');
    const answers = await scenario.run();
    assert.deepEqual(
      answers.filter(({ status }) => status >= 300).map(({ status }) => status),
      [],
    );
    const total = await core.steps();
    await core.disarm();
    return total;
  }

  /** Looks at the tree itself: nothing torn, nothing damaged, and few leftovers. */
  async function assertTreeIsSound(interruptions: number): Promise<void> {
    const driver = await createFilesystemDriver(core.root, { readOnly: true });
    const { findings } = await checkTree(driver, {
      hash: true,
      uploadsBefore: new Date(Date.now() + 60_000),
    });
    assert.deepEqual(
      findings.filter(({ kind }) => !harmless.has(kind)),
      [],
    );
    assert.ok(findings.length <= interruptions * 2, 'leftovers are bounded');
  }

  test('and that is killed there: acknowledged is there, the rest is whole or absent', async () => {
    const total = await countSteps();
    assert.ok(total > 80, `${total} steps`);
    let kills = 0;
    for (const step of chooseSteps(total, budget.kill)) {
      const journal = new Journal();
      journals.push(journal);
      const scenario = createScenario(core, journal, `kill${step}`);
      await scenario.prepare();
      await core.arm(step, 'kill');
      const ended = await scenario.run().then(
        () => true,
        () => false,
      );
      await core.disarm();
      if (!ended) {
        kills += 1;
        await core.kill();
        await core.start();
      }
      await journal.verify(core);
      await scenario.pushAgain();
      assert.deepEqual(await readdir(below('_portcullis/tmp')), [], 'nothing half written stays');
    }
    assert.ok(kills > 8, `${kills} kills`);
    for (const journal of journals) await journal.verify(core);
    await assertTreeIsSound(kills);
  });

  for (const code of ['EIO', 'ENOSPC'] as const) {
    test(`and that fails there with ${code}: it says so, and goes on`, async () => {
      const total = await countSteps();
      let failures = 0;
      for (const step of chooseSteps(total, budget.fail)) {
        const journal = new Journal();
        journals.push(journal);
        const scenario = createScenario(core, journal, `fail${step}`);
        await scenario.prepare();
        await core.arm(step, code);
        for (const { status, headers, body } of await scenario.run()) {
          if (status < 500) continue;
          failures += 1;
          assert.equal(status, 503, body.toString());
          assert.ok(Number(headers['retry-after']) > 0);
        }
        await core.disarm();
        await journal.verify(core);
        await scenario.pushAgain();
      }
      assert.ok(failures > 10, `${failures} failures`);
      await core.kill();
      await core.start();
      for (const journal of journals) await journal.verify(core);
      await assertTreeIsSound(failures);
    });
  }
});
