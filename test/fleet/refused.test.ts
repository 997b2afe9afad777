import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { digestOf } from '#libs/oci/digest.ts';
import { lockLease } from '../../services/core/sessions/redis/redis-locks.ts';
import { type Fleet, type Member, startFleet } from '../support/fleet.ts';
import { type ImageFixture, makeImage } from '../support/images.ts';
import { type Answer, RegistryClient } from '../support/registry-client.ts';
import { waitFor } from '../support/wait-for.ts';

/** Milliseconds in which a process that wakes up does what it has to do. */
const moment = 5000;
const repository = 'team/app';
/** So many that some go to either core: an upload stays with one of them, by its id, which is random. */
const tags = Array.from({ length: 24 }, (_, index) => `t${index}`);

/**
 * A core is held up with requests that it has not read, until its gateway has answered 503 for it. What the
 * clients then do elsewhere must stand when it wakes up. Once with connections whose end it sees, once with
 * connections whose end is lost on the way, as on another machine.
 */
for (const ends of ['seen', 'lost'] as const) {
  describe(`what a gateway refused is not carried out later, with the end of connections ${ends}`, () => {
    let fleet: Fleet;
    let client: RegistryClient;
    let [a, b, c]: ImageFixture[] = [];

    before(async () => {
      fleet = await startFleet({ gateways: 1, auths: 1, cores: 2 });
      client = await RegistryClient.create({
        url: fleet.url,
        ca: fleet.ca,
        credentials: `${fleet.user}:${fleet.password}`,
      });
      [a, b, c] = [makeImage(), makeImage(), makeImage()];
      for (const image of [a, b, c]) await client.push(repository, 'all', image as ImageFixture);
    });

    after(async () => {
      client?.close();
      await fleet?.remove();
    });

    const put = (tag: string, image: ImageFixture | undefined) =>
      client.putManifest(repository, tag, image as ImageFixture);
    const digestAt = async (reference: string) => {
      const { headers } = await client.ask('HEAD', `/v2/${repository}/manifests/${reference}`);
      return headers['docker-content-digest'];
    };

    /**
     * Sends a request for each name while a core is held up; for those that were refused does what follows, and
     * then lets the core go on. @returns the names that were refused
     */
    async function refused(
      request: (name: string) => Promise<Answer>,
      andThen: (name: string) => Promise<void>,
    ): Promise<string[]> {
      const [core, relay] = [fleet.cores[0] as Member, fleet.coreRelays[0]];
      await waitFor('the core to get requests again', async () => {
        const before = relay?.sent;
        await Promise.all(tags.map(() => digestAt('all')));
        return relay?.sent !== before;
      });
      relay?.hideEnds(ends === 'lost');
      core.pause();
      try {
        const answers = await Promise.all(tags.map(request));
        const names = tags.filter((_, index) => answers[index]?.status === 503);
        assert.ok(names.length > 0, 'some were sent to the core that is held up');
        for (const name of names) await andThen(name);
        return names;
      } finally {
        core.resume();
        await sleep(moment);
        relay?.hideEnds(false);
      }
    }

    async function expect(status: number, answer: Promise<Answer>): Promise<void> {
      const { status: got, body } = await answer;
      assert.equal(got, status, String(body));
    }

    test('a tag that was deleted, and made again', async () => {
      for (const tag of tags) await expect(201, put(tag, a));
      const path = (tag: string) => `/v2/${repository}/manifests/${tag}`;
      const names = await refused(
        (tag) => client.ask('DELETE', path(tag)),
        async (tag) => {
          await expect(202, client.ask('DELETE', path(tag)));
          await expect(201, put(tag, b));
        },
      );
      for (const tag of names) assert.equal(await digestAt(tag), b?.descriptor.digest);
    });

    test('a tag that was moved, and moved elsewhere', async () => {
      for (const tag of tags) await expect(201, put(tag, a));
      const names = await refused(
        (tag) => put(tag, b),
        (tag) => expect(201, put(tag, c)),
      );
      for (const tag of names) assert.equal(await digestAt(tag), c?.descriptor.digest);
    });

    test('a manifest that was deleted, and pushed again', async () => {
      const images = new Map(tags.map((tag) => [tag, makeImage()]));
      const of = (tag: string) => images.get(tag) as ImageFixture;
      for (const tag of tags) await client.push(repository, tag, of(tag));
      const path = (tag: string) => `/v2/${repository}/manifests/${of(tag).descriptor.digest}`;
      const names = await refused(
        (tag) => client.ask('DELETE', path(tag)),
        async (tag) => {
          await expect(202, client.ask('DELETE', path(tag)));
          await expect(201, put(tag, of(tag)));
        },
      );
      for (const tag of names) assert.equal(await digestAt(tag), of(tag).descriptor.digest);
    });

    test('bytes of an upload, sent again without Content-Range', async () => {
      const content = randomBytes(100_000);
      const uploads = new Map<string, string>();
      for (const tag of tags) uploads.set(tag, await client.startUpload(repository));
      const send = (tag: string) => client.ask('PATCH', uploads.get(tag) ?? '', { body: content });
      const names = await refused(send, (tag) => expect(202, send(tag)));
      for (const tag of names) {
        const path = uploads.get(tag) ?? '';
        const { headers } = await client.ask('GET', path);
        assert.equal(headers.range, `0-${content.length - 1}`);
        await expect(201, client.finishUpload(path, digestOf(content)));
      }
    });

    test('a manifest of which a core was deleting the tags, when they were moved', async () => {
      const old = makeImage();
      await client.push(repository, 'old', old);
      // So many that it is not over before the core is found that deletes them.
      const many = Array.from({ length: 800 }, (_, index) => `many${index}`);
      for (let begin = 0; begin < many.length; begin += 100) {
        const part = many.slice(begin, begin + 100);
        const query = part.map((tag) => `tag=${tag}`).join('&');
        await expect(201, put(`${old.descriptor.digest}?${query}`, old));
      }
      const folder = join(fleet.root, 'docker/registry/v2/repositories', repository);
      const left = async () => {
        const found: string[] = [];
        for (const tag of many) {
          const link = join(folder, '_manifests/tags', tag, 'current/link');
          if (await stat(link).catch(() => undefined)) found.push(tag);
        }
        return found;
      };
      const deleting = client
        .ask('DELETE', `/v2/${repository}/manifests/${old.descriptor.digest}`)
        .catch(() => undefined);
      const at = await stopInTheMiddle(async () => many.length - (await left()).length);
      fleet.coreRelays[fleet.cores.indexOf(at)]?.hideEnds(ends === 'lost');
      try {
        const remaining = (await left()).slice(0, 150);
        assert.ok(remaining.length > 0);
        const asked = performance.now();
        await expect(
          201,
          retried(() => put(remaining[0] as string, b)),
        );
        const waited = performance.now() - asked;
        assert.ok(waited < lockLease + 2000, `others waited ${Math.round(waited)} ms`);
        const queue = [...remaining];
        const movers = Array.from({ length: 16 }, async () => {
          for (let tag = queue.pop(); tag !== undefined; tag = queue.pop()) {
            await expect(201, put(tag, b));
          }
        });
        await Promise.all(movers);
        await deleting;
        at.resume();
        await sleep(moment);
        for (const tag of remaining) assert.equal(await digestAt(tag), b?.descriptor.digest);
      } finally {
        at.resume();
        for (const relay of fleet.coreRelays) relay.hideEnds(false);
      }
    });

    /** Holds the core up that is at work, in the middle of it. @param done how much of it is done */
    async function stopInTheMiddle(done: () => Promise<number>): Promise<Member> {
      await waitFor('some of it to be done', async () => (await done()) > 3);
      for (const core of fleet.cores) {
        core.pause();
        await sleep(100);
        const before = await done();
        await sleep(300);
        if ((await done()) === before) return core;
        core.resume();
      }
      throw new Error('the work ended too soon');
    }

    /** Until a gateway has noticed that a core is held up, some requests are refused. */
    async function retried(request: () => Promise<Answer>): Promise<Answer> {
      for (;;) {
        const answer = await request();
        if (answer.status !== 503) return answer;
      }
    }
  });
}
