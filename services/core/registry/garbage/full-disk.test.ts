import assert from 'node:assert/strict';
import { afterEach, beforeEach, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseRepositoryName, parseTag } from '#libs/oci/reference.ts';
import { type Core, pushBlob, pushImage, startCore } from '../../../../test/support/core.ts';
import { describeEachStorage, type OpenStorage } from '../../../../test/support/each-storage.ts';
import {
  createFailingDriver,
  type FailingDriver,
} from '../../../../test/support/failing-driver.ts';
import { type Fixture, makeImage, makeLayer } from '../../../../test/support/images.ts';
import { paths } from '../paths.ts';
import { writeLink } from '../small-files.ts';
import { collectGarbage } from './collect.ts';

const app = parseRepositoryName('team/app');
/** Milliseconds until something is old enough to be garbage. */
const delay = 300;
/** Milliseconds until what is in the trash is due, whatever the grace. */
const later = 62_000;

describeEachStorage('a collection on a full disk', (open) => {
  let storage: OpenStorage;
  let driver: FailingDriver;
  let core: Core;

  beforeEach(async () => {
    storage = await open();
    driver = createFailingDriver(storage.driver);
    core = await startCore({ driver });
  });

  afterEach(async () => {
    await core.close();
    await storage.close();
  });

  /** @param after milliseconds from now, as if the clock had gone on and nothing had become older */
  const collect = (after = 0) =>
    collectGarbage(driver, {
      untagged: true,
      dryRun: false,
      delay: after + delay,
      grace: 1,
      now: () => new Date(Date.now() + after),
    });
  const grow = () => sleep(delay + 50);
  const blob = async ({ descriptor }: Fixture, method = 'GET') =>
    (await core.send(method, `/v2/${app}/blobs/${descriptor.digest}`)).status;
  const inTrash = (path: string) => path.includes('/trash/');
  const failBackFromTrash = () =>
    driver.failOn('no-space', (operation, path) => operation === 'move' && !inTrash(path));

  test('empties what is due, and takes away what is new with the room there is then', async () => {
    await pushBlob(core, app, makeLayer(1000));
    await grow();
    await collect();
    const fresh = makeLayer(500);
    await pushBlob(core, app, fresh);
    await grow();
    let isFull = true;
    driver.failOn('no-space', (operation, path) => {
      if (operation === 'remove' && inTrash(path)) isFull = false;
      return isFull && operation === 'move' && inTrash(path);
    });
    const { freed, garbage } = await collect(later);
    assert.deepEqual(
      [freed.items, garbage],
      [2, { manifests: 0, layers: 1, blobs: 1, bytes: 500 }],
    );
    assert.equal(await blob(fresh), 200);
  });

  test('fails where there is nothing to be emptied, and has taken nothing away', async () => {
    const layer = makeLayer(1000);
    await pushBlob(core, app, layer);
    await grow();
    driver.failOn('no-space', (operation, path) => operation === 'move' && inTrash(path));
    await assert.rejects(collect(), { code: 'no-space' });
    assert.equal(await blob(layer), 200);
  });

  test('keeps in the trash what is needed and cannot be brought back', async () => {
    const image = makeImage();
    await pushImage(core, app, image);
    await grow();
    await collect();
    const { digest } = image.descriptor;
    // As a registry would that knows no trash.
    await writeLink(driver, paths.tagCurrent(app, parseTag('v1')), digest);
    await writeLink(driver, paths.layerLink(app, makeLayer(1).descriptor.digest), digest);
    failBackFromTrash();
    await collect(later);
    driver.recover();
    assert.equal((await core.send('GET', `/v2/${app}/manifests/v1`)).status, 200);
    for (const one of image.blobs) assert.equal(await blob(one), 200);
  });

  test('keeps in the trash what a client was just told to be there', async () => {
    const layer = makeLayer(1000);
    await pushBlob(core, app, layer);
    await grow();
    await collect();
    failBackFromTrash();
    assert.equal(await blob(layer, 'HEAD'), 200);
    await collect(later);
    assert.equal(await blob(layer), 200);
    await grow();
    await collect(later);
    assert.equal(await blob(layer), 404);
  });

  test('keeps in the trash what a client that was sent a manifest asks for next', async () => {
    const image = makeImage();
    await pushImage(core, app, image);
    await grow();
    await collect();
    failBackFromTrash();
    const path = `/v2/${app}/manifests/${image.descriptor.digest}`;
    assert.equal((await core.send('GET', path)).status, 200);
    await collect(later);
    assert.equal((await core.send('GET', path)).status, 200);
    for (const one of image.blobs) assert.equal(await blob(one), 200);
  });

  test('does not take for wanted what was pushed shortly before it came to the trash', async () => {
    await pushBlob(core, app, makeLayer(1000));
    await sleep(20);
    const at = (delay: number, after: number) =>
      collectGarbage(driver, {
        ...{ untagged: true, dryRun: false, delay, grace: 1 },
        now: () => new Date(Date.now() + after),
      });
    await at(1, 0);
    assert.equal((await at(10 * later, later)).freed.items, 2);
  });
});
