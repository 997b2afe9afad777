import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { startFleet } from '../support/fleet.ts';
import { RegistryClient } from '../support/registry-client.ts';
import { loseNothingWhile, restart } from '../support/rolling.ts';
import { mustRun } from '../support/run.ts';
import { launcher } from '../support/stack.ts';
import { createTemporaryFolder, type TemporaryFolder } from '../support/temporary-folder.ts';

const from = process.env.FROM ?? '';
const kinds = ['gateways', 'auths', 'cores'] as const;

/** All orders of three. */
const orders = kinds.flatMap((first) =>
  kinds
    .filter((second) => second !== first)
    .map((second) => [first, second, ...kinds.filter((one) => one !== first && one !== second)]),
);

describe(`an upgrade from ${from} while clients work`, () => {
  let folder: TemporaryFolder;
  /** The launcher of the version before. */
  let earlier: string;

  before(async () => {
    assert.notEqual(
      from,
      '',
      'name the commit of the version before: make upgrade-test FROM=COMMIT',
    );
    folder = await createTemporaryFolder();
    const tree = `${folder.path}/earlier`;
    await mustRun('git', ['worktree', 'add', '--detach', tree, from]);
    await mustRun('npm', ['ci', '--no-audit', '--no-fund', '--prefix', tree]);
    earlier = `${tree}/bin/portcullis`;
  });

  after(async () => {
    await mustRun('git', ['worktree', 'remove', '--force', `${folder.path}/earlier`]).catch(
      () => {},
    );
    await folder.remove();
  });

  for (const order of orders) {
    test(`${order.join(', then ')}: loses no request and no upload, nor does the way back`, async (t) => {
      const fleet = await startFleet({ program: earlier, cores: 2 });
      try {
        const client = await RegistryClient.create({
          url: fleet.url,
          ca: fleet.ca,
          credentials: `${fleet.user}:${fleet.password}`,
        });
        const replace = (program: string) => async () => {
          for (const kind of order) {
            for (const member of fleet[kind as (typeof kinds)[number]])
              await restart(member, program);
          }
        };
        const forth = await loseNothingWhile(client, 'team/forth', replace(launcher));
        const back = await loseNothingWhile(client, 'team/back', replace(earlier));
        t.diagnostic(`${forth} and ${back} rounds of pulls and pushes`);
        client.close();
      } finally {
        await fleet.remove();
      }
    });
  }
});
