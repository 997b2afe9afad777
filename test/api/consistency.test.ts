import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { StorageDriver } from '../../services/core/storage/driver.ts';
import { createMemoryDriver } from '../../services/core/storage/memory.ts';
import {
  type Core,
  pushBlob,
  pushImage,
  pushManifest,
  type Received,
  startCore,
} from '../support/core.ts';
import {
  type Fixture,
  type ImageFixture,
  makeImage,
  makeIndex,
  makeLayer,
} from '../support/images.ts';
import { createSteppingDriver } from '../support/stepping-driver.ts';

const app = 'team/app';

/** What a pair of requests meets in: a fresh core, in which everything both rely on is prepared. */
interface Meeting {
  core: Core;
  image: ImageFixture;
  other: ImageFixture;
}

type Request = (meeting: Meeting) => Promise<Received>;

interface Pair {
  title: string;
  prepare: (meeting: Meeting) => Promise<unknown>;
  first: Request;
  second: Request;
  /** The outcomes that docs/consistency.md allows, as `<first>/<second>`. */
  outcomes: readonly string[];
  /** What must be so afterwards. */
  afterwards: (meeting: Meeting, answers: { first: Received; second: Received }) => Promise<void>;
}

const tag = (name = 'latest') => `/v2/${app}/manifests/${name}`;
const manifestOf = ({ descriptor }: Fixture) => `/v2/${app}/manifests/${descriptor.digest}`;
const blobOf = ({ descriptor }: Fixture) => `/v2/${app}/blobs/${descriptor.digest}`;
const layerOf = ({ blobs }: ImageFixture) => blobs[1] as Fixture;

async function pushBlobs({ core, image, other }: Meeting): Promise<void> {
  for (const blob of [...image.blobs, ...other.blobs]) await pushBlob(core, app, blob);
}

/** The promises: a tag points at something, and what is here can be pulled whole. */
async function assertSound({ core }: Meeting, images: readonly ImageFixture[]): Promise<void> {
  const tags = await core.send('GET', `/v2/${app}/tags/list`);
  if (tags.status === 200) {
    for (const name of JSON.parse(tags.text).tags as string[]) {
      assert.equal((await core.send('GET', tag(name))).status, 200, `${name} points to nothing`);
    }
  }
  for (const image of images) {
    const answer = await core.send('GET', manifestOf(image));
    if (answer.status === 200) assert.deepEqual(answer.body, image.bytes);
    for (const blob of image.blobs) {
      const head = await core.send('HEAD', blobOf(blob));
      const get = await core.send('GET', blobOf(blob));
      assert.equal(head.status, get.status);
      if (get.status === 200) assert.deepEqual(get.body, blob.bytes);
    }
  }
}

const tagged = async ({ core }: Meeting) =>
  (await core.send('HEAD', tag())).headers['docker-content-digest'];

const pairs: readonly Pair[] = [
  {
    title: 'two uploads of one blob',
    prepare: async () => {},
    first: ({ core, image }) => pushBlob(core, app, layerOf(image)),
    second: ({ core, image }) => pushBlob(core, app, layerOf(image)),
    outcomes: ['201/201'],
    async afterwards({ core, image }) {
      assert.equal((await core.send('GET', blobOf(layerOf(image)))).status, 200);
    },
  },
  {
    title: 'two pushes to one tag',
    prepare: pushBlobs,
    first: ({ core, image }) => pushManifest(core, app, image, 'latest'),
    second: ({ core, other }) => pushManifest(core, app, other, 'latest'),
    outcomes: ['201/201'],
    async afterwards(meeting) {
      const { image, other } = meeting;
      const found = await tagged(meeting);
      assert.ok([image.descriptor.digest, other.descriptor.digest].includes(found as never));
    },
  },
  {
    title: 'two pushes to one tag that must not exist',
    prepare: pushBlobs,
    first: ({ core, image }) => pushManifest(core, app, image, 'latest', { 'If-None-Match': '*' }),
    second: ({ core, other }) => pushManifest(core, app, other, 'latest', { 'If-None-Match': '*' }),
    outcomes: ['201/412', '412/201'],
    async afterwards(meeting, { first }) {
      const winner = first.status === 201 ? meeting.image : meeting.other;
      assert.equal(await tagged(meeting), winner.descriptor.digest);
    },
  },
  {
    title: 'a push and the delete of a layer it names',
    prepare: pushBlobs,
    first: ({ core, image }) => pushManifest(core, app, image, 'latest'),
    second: ({ core, image }) => core.send('DELETE', blobOf(layerOf(image))),
    outcomes: ['201/202', '404/202'],
    async afterwards({ core, image }, { first }) {
      assert.equal(
        (await core.send('GET', manifestOf(image))).status,
        first.status === 201 ? 200 : 404,
      );
    },
  },
  {
    title: 'a push of an index and the delete of an image it names',
    async prepare({ core, image }) {
      await pushImage(core, app, image);
    },
    first: ({ core, image }) => pushManifest(core, app, makeIndex([image]), 'latest'),
    second: ({ core, image }) => core.send('DELETE', manifestOf(image)),
    outcomes: ['201/202', '404/202'],
    async afterwards(meeting, { first }) {
      assert.equal((await tagged(meeting)) !== undefined, first.status === 201);
    },
  },
  {
    title: 'a push by tag and the delete of that manifest',
    async prepare({ core, image }) {
      await pushImage(core, app, image, 'latest');
    },
    first: ({ core, image }) => pushManifest(core, app, image, 'latest'),
    second: ({ core, image }) => core.send('DELETE', manifestOf(image)),
    outcomes: ['201/202'],
    async afterwards(meeting) {
      const { core, image } = meeting;
      const here = (await core.send('GET', manifestOf(image))).status === 200;
      assert.equal((await tagged(meeting)) !== undefined, here, 'both or neither');
    },
  },
  {
    title: 'a push by tag and the delete of that tag',
    async prepare({ core, image }) {
      await pushImage(core, app, image, 'latest');
    },
    first: ({ core, image }) => pushManifest(core, app, image, 'latest'),
    second: ({ core }) => core.send('DELETE', tag()),
    outcomes: ['201/202'],
    async afterwards({ core, image }) {
      assert.equal((await core.send('GET', manifestOf(image))).status, 200);
    },
  },
  {
    title: 'a mount and the delete in its source',
    async prepare({ core, image }) {
      await pushBlob(core, 'source', layerOf(image));
    },
    first: ({ core, image }) =>
      core.send(
        'POST',
        `/v2/${app}/blobs/uploads/?mount=${layerOf(image).descriptor.digest}&from=source`,
      ),
    second: ({ core, image }) =>
      core.send('DELETE', `/v2/source/blobs/${layerOf(image).descriptor.digest}`),
    outcomes: ['201/202', '202/202'],
    async afterwards({ core, image }, { first }) {
      const { status } = await core.send('GET', blobOf(layerOf(image)));
      assert.equal(status, first.status === 201 ? 200 : 404);
    },
  },
  {
    title: 'a pull by tag and the move of that tag',
    async prepare(meeting) {
      await pushBlobs(meeting);
      await pushManifest(meeting.core, app, meeting.image, 'latest');
    },
    first: ({ core }) => core.send('GET', tag()),
    second: ({ core, other }) => pushManifest(core, app, other, 'latest'),
    outcomes: ['200/201'],
    async afterwards({ image, other }, { first }) {
      assert.ok([image, other].some(({ bytes }) => bytes.equals(first.body)));
    },
  },
];

describe('two requests that meet at any step of the storage', () => {
  for (const { title, prepare, first, second, outcomes, afterwards } of pairs) {
    test(title, async () => {
      const seen = new Set<string>();
      for (let at = 1; ; at += 1) {
        const memory = createMemoryDriver();
        let began: Promise<Received> | undefined;
        let armed = false;
        let steps = 0;
        let meeting: Meeting;
        // The first one stops before a step of its own; the second one begins, and runs until it
        // is done or waits for the first.
        const driver: StorageDriver = createSteppingDriver(memory, async () => {
          if (!armed) return;
          steps += 1;
          if (steps !== at) return;
          armed = false;
          began = second(meeting);
          await Promise.race([began, sleep(30)]);
        });
        const core = await startCore({ driver });
        meeting = { core, image: makeImage(), other: makeImage() };
        try {
          await prepare(meeting);
          armed = true;
          const answers = {
            first: await first(meeting),
            second: undefined as Received | undefined,
          };
          armed = false;
          answers.second = await (began ?? second(meeting));
          const outcome = `${answers.first.status}/${answers.second.status}`;
          seen.add(outcome);
          assert.ok(outcomes.includes(outcome), `${outcome} at step ${at}`);
          await afterwards(meeting, answers as { first: Received; second: Received });
          await assertSound(meeting, [meeting.image, meeting.other]);
        } finally {
          await core.close();
        }
        if (began === undefined) break;
        assert.ok(at < 100);
      }
      assert.ok(seen.size > 0);
    });
  }
});

describe('one upload, and two who end it', () => {
  let core: Core;
  let layer: Fixture;

  beforeEach(async () => {
    core = await startCore({ driver: createMemoryDriver() });
    layer = makeLayer(5000);
  });

  afterEach(async () => {
    await core.close();
  });

  async function begin(): Promise<string> {
    const { headers } = await core.send('POST', `/v2/${app}/blobs/uploads/`);
    const location = headers.location ?? '';
    await core.send('PATCH', location, { body: layer.bytes });
    return location;
  }

  test('completed twice, at once or later: both learn that the blob is there', async () => {
    for (let round = 0; round < 20; round += 1) {
      layer = makeLayer(5000);
      const location = await begin();
      const end = () => core.send('PUT', `${location}?digest=${layer.descriptor.digest}`);
      const answers = [...(await Promise.all([end(), end()])), await end()];
      for (const { status, headers, text } of answers) {
        assert.equal(status, 201, text);
        assert.equal(headers['docker-content-digest'], layer.descriptor.digest);
      }
      assert.deepEqual((await core.send('GET', blobOf(layer))).body, layer.bytes);
      assert.equal((await core.send('GET', location)).status, 404);
      await core.send('DELETE', blobOf(layer));
      assert.equal((await end()).status, 404, 'it says so only while it is true');
    }
  });

  test('completed and cancelled at once: one of the two happens, whole', async () => {
    for (let round = 0; round < 20; round += 1) {
      layer = makeLayer(100);
      const location = await begin();
      const requests = [
        () => core.send('PUT', `${location}?digest=${layer.descriptor.digest}`),
        () => core.send('DELETE', location),
      ];
      if (round % 2 === 0) requests.reverse();
      const answers = await Promise.all(requests.map((request) => request()));
      if (round % 2 === 0) answers.reverse();
      const [completed, cancelled] = answers.map(({ status }) => status);
      assert.ok(
        (completed === 201 && cancelled === 404) || (completed === 404 && cancelled === 204),
        `${completed}/${cancelled}`,
      );
      assert.equal((await core.send('HEAD', blobOf(layer))).status, completed === 201 ? 200 : 404);
    }
  });

  test('completed with two digests at once: the wrong one never makes a blob', async () => {
    for (let round = 0; round < 10; round += 1) {
      layer = makeLayer(100);
      const wrong = makeLayer().descriptor.digest;
      const location = await begin();
      const digests = [layer.descriptor.digest, wrong];
      if (round % 2 === 0) digests.reverse();
      const answers = await Promise.all(
        digests.map((digest) => core.send('PUT', `${location}?digest=${digest}`)),
      );
      for (const [index, { status }] of answers.entries()) {
        assert.ok(
          digests[index] === wrong ? [400, 404].includes(status) : [201, 404].includes(status),
        );
      }
      assert.equal((await core.send('HEAD', `/v2/${app}/blobs/${wrong}`)).status, 404);
    }
  });
});

describe('pages of a list that changes meanwhile', () => {
  test('what nobody changes appears exactly once, in order', async () => {
    const core = await startCore({ driver: createMemoryDriver() });
    try {
      const image = makeImage();
      await pushImage(core, app, image, 'first');
      const stable = Array.from({ length: 30 }, (_, index) => `s${String(index).padStart(2, '0')}`);
      for (const name of stable) await pushManifest(core, app, image, name);
      const seen: string[] = [];
      let path: string | undefined = `/v2/${app}/tags/list?n=4`;
      for (let page = 0; path !== undefined; page += 1) {
        const { text, headers } = await core.send('GET', path);
        seen.push(...(JSON.parse(text).tags as string[]));
        path = /<([^>]+)>/.exec(String(headers.link ?? ''))?.[1];
        // Before, within and behind the page that was just read.
        await pushManifest(core, app, image, `s${String(page * 4).padStart(2, '0')}-new`);
        await pushManifest(core, app, image, `t${page}`);
        if (page > 0) await core.send('DELETE', tag(`t${page - 1}`));
      }
      assert.deepEqual(
        seen.filter((name) => stable.includes(name)),
        stable,
      );
      assert.deepEqual(seen, [...new Set(seen)].sort());
    } finally {
      await core.close();
    }
  });
});
