import assert from 'node:assert/strict';
import { randomInt } from 'node:crypto';
import { mkdir, readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { digestOf } from '#libs/oci/digest.ts';
import { checkTree } from '../../services/core/registry/fsck/check-tree.ts';
import { createFilesystemDriver } from '../../services/core/storage/filesystem/filesystem.ts';
import { type Fleet, startFleet } from '../support/fleet.ts';
import { writeOciLayout } from '../support/oci-layout.ts';
import { RegistryClient } from '../support/registry-client.ts';
import { mustRun } from '../support/run.ts';
import { prepareSkopeo, type Skopeo } from '../support/skopeo.ts';
import { waitFor } from '../support/wait-for.ts';
import { troublesOf } from './troubles.ts';

const isLong = process.env.CHAOS !== undefined;
/** Clients that push and pull at once. */
const clients = isLong ? 50 : 12;
/** Milliseconds of trouble. */
const duration = isLong ? 600_000 : 40_000;

/**
 * What a client may see of it all: that nobody answers, that the answer breaks off, or that it is asked to
 * come back. Everything else would make it give up for good.
 */
const retryable =
  /\b(?:503|502|EOF|connection refused|connection reset|broken pipe|i\/o timeout|Client\.Timeout|TLS handshake timeout|unexpected end|server closed|context deadline exceeded|use of closed|bad record MAC|stream error|too many requests|service unavailable|UNAVAILABLE|timeout awaiting)\b/i;

interface Pushed {
  repository: string;
  layout: string;
}

describe('a fleet under fire', () => {
  let fleet: Fleet;
  let skopeo: Skopeo;
  let client: RegistryClient;

  before(async () => {
    fleet = await startFleet();
    const credentials = `${fleet.user}:${fleet.password}`;
    skopeo = await prepareSkopeo({ dir: fleet.dir, ca: fleet.ca, credentials });
    client = await RegistryClient.create({ url: fleet.url, ca: fleet.ca, credentials });
  });

  after(async () => {
    client?.close();
    await fleet?.remove();
  });

  test('keeps all it acknowledged, and asks clients for no more than to come back', async (context) => {
    const pushed: Pushed[] = [];
    const complaints: string[] = [];
    const counts = { pushes: 0, pulls: 0, retries: 0, bytes: 0 };
    const struck = new Map<string, number>();
    await mkdir(join(fleet.dir, 'pulls'));
    const until = performance.now() + duration;

    /** Runs the real client until it succeeds, as a person or a pipeline does. */
    async function insist(from: string, to: string): Promise<boolean> {
      for (;;) {
        const { code, stderr } = await skopeo.copy(from, to, '--preserve-digests');
        if (code === 0) return true;
        counts.retries += 1;
        if (!retryable.test(stderr)) {
          complaints.push(`${to}: ${stderr}`);
          return false;
        }
        if (performance.now() > until + 60_000) {
          complaints.push(`${to}: still in vain a minute after the last trouble: ${stderr}`);
          return false;
        }
        await sleep(randomInt(200, 1500));
      }
    }

    const work = Array.from({ length: clients }, async (_, number) => {
      for (let turn = 0; performance.now() < until; turn += 1) {
        const repository = `chaos/c${number}/t${turn}`;
        const layout = join(fleet.dir, 'layouts', repository);
        const sizes = [randomInt(1, 2_000_000), randomInt(1, 200_000), randomInt(1, 2000)];
        await writeOciLayout(layout, sizes);
        const target = `docker://${fleet.host}/${repository}:v1`;
        if (await insist(`oci:${layout}:v1`, target)) {
          counts.pushes += 1;
          for (const size of sizes) counts.bytes += size;
          pushed.push({ repository, layout });
        }
        const other = pushed[randomInt(Math.max(1, pushed.length))];
        if (other === undefined) continue;
        const copy = join(fleet.dir, 'pulls', `c${number}`);
        if (await insist(`docker://${fleet.host}/${other.repository}:v1`, `oci:${copy}:v1`)) {
          counts.pulls += 1;
          await assertSameBlobs(copy, other.layout);
        }
        await rm(copy, { recursive: true, force: true });
      }
    });

    const troubles = troublesOf(fleet);
    while (performance.now() < until - 5000) {
      const trouble = troubles[randomInt(troubles.length)];
      if (trouble === undefined) continue;
      struck.set(trouble.name, (struck.get(trouble.name) ?? 0) + 1);
      await trouble.strike();
      await sleep(randomInt(200, 1500));
    }
    await Promise.all(work);
    assert.deepEqual(complaints, []);
    assert.ok(counts.pushes > clients, JSON.stringify(counts));

    for (const { repository, layout } of pushed) await assertServed(repository, layout);
    await assertTidy();
    const figures = { seconds: duration / 1000, clients, ...counts, ...Object.fromEntries(struck) };
    context.diagnostic(JSON.stringify(figures));
  });

  /** What came back is what went out, byte for byte. */
  async function assertSameBlobs(copy: string, original: string): Promise<void> {
    const names = await readdir(join(copy, 'blobs', 'sha256'));
    assert.ok(names.length >= 4);
    for (const name of names) {
      const bytes = await readFile(join(copy, 'blobs', 'sha256', name));
      const expected = await readFile(join(original, 'blobs', 'sha256', name));
      assert.ok(bytes.equals(expected), `${original}: ${name}`);
    }
  }

  async function assertServed(repository: string, layout: string): Promise<void> {
    const { status, body } = await client.ask('GET', `/v2/${repository}/manifests/v1`, {
      headers: { accept: 'application/vnd.oci.image.manifest.v1+json' },
    });
    assert.equal(status, 200, `${repository}: ${String(body)}`);
    const manifest = JSON.parse(body.toString()) as { config: Part; layers: Part[] };
    for (const { digest } of [manifest.config, ...manifest.layers]) {
      const blob = await client.ask('GET', `/v2/${repository}/blobs/${digest}`);
      assert.equal(blob.status, 200, `${repository} ${digest}`);
      assert.equal(digestOf(blob.body, 'sha256'), digest);
      const name = digest.replace('sha256:', '');
      assert.ok(blob.body.equals(await readFile(join(layout, 'blobs', 'sha256', name))));
    }
  }

  /** Uploads that clients gave up are purged, nothing is torn, and Redis holds nothing for ever. */
  async function assertTidy(): Promise<void> {
    const purging = '{"enabled": true, "age": "1s", "interval": "1s", "dryrun": false}';
    for (const core of fleet.cores) {
      await core.stop();
      await core.start({ REGISTRY_STORAGE_MAINTENANCE_UPLOADPURGING: purging });
    }
    let uploads = '';
    await waitFor(
      'abandoned uploads to be purged',
      async () => {
        uploads = await mustRun('find', [fleet.root, '-path', '*/_uploads/*', '-type', 'd']);
        return uploads.trim() === '';
      },
      120_000,
    ).catch((error: Error) => {
      throw new Error(`${error.message}: ${uploads}`, { cause: error });
    });
    const driver = await createFilesystemDriver(fleet.root, { readOnly: true });
    const { findings } = await checkTree(driver, {
      hash: true,
      uploadsBefore: new Date(Date.now() + 60_000),
    });
    assert.deepEqual(
      findings.filter(({ kind }) => !kind.startsWith('stale-')),
      [],
    );
    const keys = (await fleet.redis.cli('keys', 'portcullis:*')).split('\n').filter(Boolean);
    for (const key of keys) {
      // What tells whether Redis has forgotten something lasts as long as it has not.
      if (key === 'portcullis:epoch') continue;
      assert.ok(Number(await fleet.redis.cli('pttl', key)) !== -1, key);
    }
  }
});

interface Part {
  digest: ReturnType<typeof digestOf>;
}
