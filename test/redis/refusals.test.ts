import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import { type Digest, digestOf } from '#libs/oci/digest.ts';
import { parseRepositoryName, parseTag, type RepositoryName } from '#libs/oci/reference.ts';
import { giveUp } from '#libs/redis/give-up.ts';
import type { Registry } from '../../services/core/registry/registry.ts';
import type { UploadKey } from '../../services/core/registry/uploads/session-access.ts';
import type { Requester } from '../../services/core/sessions/locks.ts';
import { type CoresOnRedis, startCoresOnRedis } from '../support/cores-on-redis.ts';
import { type ImageFixture, makeImage } from '../support/images.ts';
import { createSteppingDriver } from '../support/stepping-driver.ts';
import { chunkOf } from '../support/upload-chunks.ts';

const latest = parseTag('latest');
const content = randomBytes(3000);
const digest = digestOf(content);
const [first, second, third] = [makeImage(), makeImage(), makeImage()] as const;

/** A request that a core is held up in, and what others do once it was refused. */
interface Refusal {
  name: string;
  /** What is there before. @returns the upload, where there is one */
  prepare(core: Registry, repository: RepositoryName): Promise<UploadKey | undefined>;
  /** The request. */
  act(
    core: Registry,
    repository: RepositoryName,
    by: Requester,
    upload?: UploadKey,
  ): Promise<unknown>;
  /** What the client does at another core, having been refused. */
  follow(core: Registry, repository: RepositoryName, upload?: UploadKey): Promise<void>;
  /** What must hold when the first core has woken up. */
  check(core: Registry, repository: RepositoryName, upload?: UploadKey): Promise<void>;
}

const put = (core: Registry, repository: RepositoryName, image: ImageFixture, by?: Requester) =>
  core.manifests.put(
    repository,
    {
      reference: { kind: 'tag', tag: latest },
      bytes: image.bytes,
      contentType: image.descriptor.mediaType,
    },
    by,
  );

async function pushBlob(core: Registry, repository: RepositoryName, bytes: Buffer): Promise<void> {
  const { id } = await core.uploads.start(repository, '');
  await core.uploads.complete({ repository, id, subject: '' }, digestOf(bytes), chunkOf(bytes));
}

async function pushBlobs(core: Registry, repository: RepositoryName): Promise<undefined> {
  for (const image of [first, second, third]) {
    for (const { bytes } of image.blobs) await pushBlob(core, repository, bytes);
  }
}

async function pushFirst(core: Registry, repository: RepositoryName): Promise<undefined> {
  await pushBlobs(core, repository);
  await put(core, repository, first);
}

async function begin(core: Registry, repository: RepositoryName, bytes = 1000): Promise<UploadKey> {
  const { id } = await core.uploads.start(repository, '');
  const key = { repository, id, subject: '' };
  await core.uploads.append(key, chunkOf(content.subarray(0, bytes)));
  return key;
}

/** The bytes behind those of {@link begin}, as they are sent each time. */
const rest = () => chunkOf(content.subarray(1000), { locationOffset: 1000 });

const isLatest = async (core: Registry, repository: RepositoryName, image: ImageFixture) => {
  assert.equal(await core.tags.resolve(repository, latest), image.descriptor.digest);
  const found = await core.manifests.get(repository, { kind: 'tag', tag: latest });
  assert.deepEqual(found.bytes, image.bytes);
};

const uploadOf = (upload: UploadKey | undefined): UploadKey => {
  assert.ok(upload !== undefined);
  return upload;
};

const refusals: readonly Refusal[] = [
  {
    name: 'a tag that is moved',
    prepare: pushFirst,
    act: (core, repository, by) => put(core, repository, second, by),
    follow: async (core, repository) => void (await put(core, repository, third)),
    check: (core, repository) => isLatest(core, repository, third),
  },
  {
    name: 'a tag that is deleted',
    prepare: pushFirst,
    act: (core, repository, by) => core.manifests.removeTag(repository, latest, undefined, by),
    follow: async (core, repository) => void (await put(core, repository, second)),
    check: (core, repository) => isLatest(core, repository, second),
  },
  {
    name: 'a manifest that is deleted with its tag',
    prepare: pushFirst,
    act: (core, repository, by) =>
      core.manifests.remove(repository, first.descriptor.digest as Digest, undefined, by),
    follow: async (core, repository) => void (await put(core, repository, first)),
    check: (core, repository) => isLatest(core, repository, first),
  },
  {
    name: 'a manifest that is deleted, whose tag is moved',
    prepare: pushFirst,
    act: (core, repository, by) =>
      core.manifests.remove(repository, first.descriptor.digest as Digest, undefined, by),
    follow: async (core, repository) => void (await put(core, repository, second)),
    check: (core, repository) => isLatest(core, repository, second),
  },
  {
    name: 'a blob that is deleted',
    prepare: async (core, repository) => {
      await pushBlob(core, repository, content);
      return undefined;
    },
    act: (core, repository, by) => core.blobs.remove(repository, digest, undefined, by),
    follow: (core, repository) => pushBlob(core, repository, content),
    check: async (core, repository) => assert.ok(await core.blobs.has(repository, digest)),
  },
  {
    name: 'a blob that is mounted',
    prepare: async (core, repository) => {
      await pushBlob(core, parseRepositoryName(`${repository}/source`), content);
      return undefined;
    },
    act: (core, repository, by) =>
      core.blobs.mount(parseRepositoryName(`${repository}/source`), repository, digest, by),
    follow: async (core, repository) => {
      await core.blobs.mount(parseRepositoryName(`${repository}/source`), repository, digest);
      await core.blobs.remove(repository, digest);
    },
    check: async (core, repository) => assert.ok(!(await core.blobs.has(repository, digest))),
  },
  {
    name: 'a chunk without Content-Range',
    prepare: (core, repository) => begin(core, repository),
    act: (core, _, by, upload) => core.uploads.append(uploadOf(upload), rest(), by),
    follow: async (core, _, upload) => {
      await core.uploads.append(uploadOf(upload), rest());
    },
    async check(core, repository, upload) {
      await core.uploads.complete(uploadOf(upload), digest);
      assert.ok(await core.blobs.has(repository, digest));
    },
  },
  {
    name: 'an upload that is finished, whose blob is deleted',
    prepare: (core, repository) => begin(core, repository, content.length),
    act: (core, _, by, upload) => core.uploads.complete(uploadOf(upload), digest, undefined, by),
    async follow(core, repository, upload) {
      // As the interface does: it is there already where the first got so far.
      await core.uploads.complete(uploadOf(upload), digest).catch(async (error: unknown) => {
        assert.equal((error as { code?: string }).code, 'BLOB_UPLOAD_UNKNOWN');
        assert.ok(await core.blobs.has(repository, digest));
      });
      await core.blobs.remove(repository, digest);
    },
    check: async (core, repository) => assert.ok(!(await core.blobs.has(repository, digest))),
  },
  {
    name: 'an upload that is cancelled, and goes on',
    prepare: (core, repository) => begin(core, repository),
    act: (core, _, by, upload) => core.uploads.cancel(uploadOf(upload), by),
    async follow(core, repository, upload) {
      try {
        await core.uploads.append(uploadOf(upload), rest());
      } catch (error) {
        // It was cancelled before anybody was refused.
        assert.equal((error as { code?: string }).code, 'BLOB_UPLOAD_UNKNOWN');
        await pushBlob(core, repository, content);
      }
    },
    async check(core, repository, upload) {
      if (await core.blobs.has(repository, digest)) return;
      await core.uploads.complete(uploadOf(upload), digest);
      assert.ok(await core.blobs.has(repository, digest));
    },
  },
];

describe('a core that is held up anywhere in a request changes nothing once it was refused', () => {
  let world: CoresOnRedis;
  let repositories = 0;

  before(async () => {
    world = await startCoresOnRedis();
  });

  after(async () => {
    await world?.[Symbol.asyncDispose]();
  });

  /** @returns how many steps the request takes, if it is not held up before step `at` */
  async function play(refusal: Refusal, how: 'seen' | 'said', at: number): Promise<number> {
    const repository = parseRepositoryName(`r${repositories++}`);
    const reached = Promise.withResolvers<void>();
    const woken = Promise.withResolvers<void>();
    let steps = 0;
    let acting = false;
    const stepping = createSteppingDriver(world.driver, async () => {
      if (!acting) return;
      steps += 1;
      if (steps !== at) return;
      reached.resolve();
      await woken.promise;
    });
    const [slow, other] = [world.openCore(stepping), world.openCore()];
    const upload = await refusal.prepare(slow, repository);
    const gone = new AbortController();
    const by: Requester = { id: `attempt-${repositories}`, signal: gone.signal };
    acting = true;
    const done = refusal.act(slow, repository, by, upload).then(
      () => undefined,
      (error: unknown) => error,
    );
    await Promise.race([reached.promise, done]);
    if (steps < at) return steps;
    // Its gateway gives it up; whoever is held up keeps its locks until their leases are over.
    if (how === 'seen') gone.abort();
    else {
      await giveUp(world.redis, repository, by.id);
      if (upload !== undefined) await giveUp(world.redis, upload.id, by.id);
    }
    world.expire();
    await refusal.follow(other, repository, upload);
    woken.resolve();
    await done;
    world.expire();
    await refusal.check(world.openCore(), repository, upload);
    return Number.POSITIVE_INFINITY;
  }

  for (const refusal of refusals) {
    for (const how of ['seen', 'said'] as const) {
      const by = how === 'seen' ? 'by the end of its connection' : 'by what Redis says';
      test(`${refusal.name}, told ${by}`, async () => {
        let held = 0;
        for (let at = 1; ; at += 1) {
          const steps = await play(refusal, how, at).catch((error: unknown) => {
            throw new Error(`held up before step ${at}: ${(error as Error).message}`, {
              cause: error,
            });
          });
          if (steps < at) break;
          held += 1;
        }
        assert.ok(held > 2, 'it was held up at several steps');
      });
    }
  }
});
