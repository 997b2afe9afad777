import assert from 'node:assert/strict';
import { randomInt } from 'node:crypto';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { checkTree } from '../../services/core/registry/fsck/check-tree.ts';
import { createFilesystemDriver } from '../../services/core/storage/filesystem/filesystem.ts';
import { waitFor } from '../support/wait-for.ts';
import { type CoreProcess, startCoreProcess } from './core-process.ts';
import { Journal } from './journal.ts';
import { createScenario } from './scenario.ts';

const rounds = process.env.CHAOS === undefined ? 3 : 60;
const clients = 20;

describe('a core that is killed while many work', () => {
  let core: CoreProcess;

  beforeEach(async () => {
    core = await startCoreProcess();
  });

  afterEach(async () => {
    await core.remove();
  });

  test('keeps all it acknowledged, and shows nothing half done', async () => {
    let requests = 0;
    const journals: Journal[] = [];
    for (let round = 1; round <= rounds; round += 1) {
      const journal = new Journal();
      journals.push(journal);
      const work = Array.from({ length: clients }, async (_, client) => {
        for (let turn = 0; ; turn += 1) {
          const scenario = createScenario(core, journal, `r${round}/c${client}/t${turn}`);
          try {
            await scenario.prepare();
            requests += 1;
            requests += (await scenario.run()).length;
          } catch {
            // Dead in the middle; what it had acknowledged is in the journal.
            return;
          }
        }
      });
      await sleep(randomInt(300, 2500));
      await waitFor('somebody to get something done', () => requests >= round);
      await core.kill();
      await Promise.all(work);
      await core.start();
      await journal.verify(core);
    }
    for (const journal of journals) await journal.verify(core);
    assert.ok(requests > 0);
    const driver = await createFilesystemDriver(core.root, { readOnly: true });
    const { findings } = await checkTree(driver, {
      hash: true,
      uploadsBefore: new Date(Date.now() + 60_000),
    });
    const bad = findings.filter(
      ({ kind }) => !kind.startsWith('stale-') && kind !== 'orphan-upload',
    );
    assert.deepEqual(bad, []);
    assert.ok(findings.length <= rounds * clients * 2);
  });
});
