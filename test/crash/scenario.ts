import {
  describeJson,
  type Fixture,
  type ImageFixture,
  makeImage,
  mediaTypes,
} from '../support/images.ts';
import type { Answer, Ask, CoreProcess } from './core-process.ts';
import type { Journal } from './journal.ts';

/** Everything that writes, one request after the other, in a repository of its own. */
export interface Scenario {
  /** What is there before anything is interrupted. */
  prepare(): Promise<void>;
  /**
   * Does it all, and journals what was acknowledged. A refusal is not the end.
   * @returns every answer, in order
   * @throws Error if the core dies
   */
  run(): Promise<Answer[]>;
  /** Pushes the image once more, which must succeed whatever happened before. */
  pushAgain(): Promise<void>;
}

export function createScenario(core: CoreProcess, journal: Journal, repository: string): Scenario {
  const [first, second] = [makeImage('oci', [200]), makeImage('oci', [5000])];
  const signature = describeJson(mediaTypes.ociManifest, {
    schemaVersion: 2,
    mediaType: mediaTypes.ociManifest,
    config: second.blobs[0]?.descriptor,
    layers: [],
    subject: second.descriptor,
  });
  const at = (path: string) => `/v2/${repository}/${path}`;
  const blobAt = ({ descriptor }: Fixture) => at(`blobs/${descriptor.digest}`);
  const manifestAt = ({ descriptor }: Fixture) => at(`manifests/${descriptor.digest}`);
  const answers: Answer[] = [];

  async function ask(method: string, path: string, options?: Ask): Promise<Answer> {
    const answer = await core.ask(method, path, options);
    answers.push(answer);
    return answer;
  }

  /** Asks, and journals that the changes are so if the answer says it. */
  async function change(
    changes: readonly { acknowledged: () => void }[],
    ...request: Parameters<typeof ask>
  ): Promise<Answer> {
    const answer = await ask(...request);
    // A mount that cannot be opens an upload instead: 202, and nothing is stored.
    const opened = request[0] === 'POST' && answer.status === 202;
    if (answer.status < 300 && !opened) for (const { acknowledged } of changes) acknowledged();
    return answer;
  }

  async function upload(blob: Fixture): Promise<void> {
    const { headers } = await ask('POST', at('blobs/uploads/'));
    const location = String(headers.location ?? at('blobs/uploads/none'));
    await ask('PATCH', location, { body: blob.bytes.subarray(0, 100) });
    await ask('PATCH', location, { body: blob.bytes.subarray(100) });
    const end = `${location}?digest=${blob.descriptor.digest}`;
    await change([journal.storing(blobAt(blob), blob)], 'PUT', end);
  }

  async function uploadAtOnce(blob: Fixture): Promise<void> {
    const path = at(`blobs/uploads/?digest=${blob.descriptor.digest}`);
    await change([journal.storing(blobAt(blob), blob)], 'POST', path, { body: blob.bytes });
  }

  async function putManifest(manifest: Fixture, reference: string, tags: string[]): Promise<void> {
    const changes = [
      journal.storing(manifestAt(manifest), manifest),
      ...tags.map((tag) => journal.tagging(at(`manifests/${tag}`), manifest)),
    ];
    await change(changes, 'PUT', at(`manifests/${reference}`), {
      body: manifest.bytes,
      headers: { 'Content-Type': mediaTypes.ociManifest },
    });
  }

  async function pushImage(image: ImageFixture, tag: string): Promise<void> {
    for (const blob of image.blobs) await uploadAtOnce(blob);
    await putManifest(image, tag, [tag]);
  }

  return {
    async prepare() {
      await pushImage(first, 'latest');
      answers.splice(0);
    },

    async run() {
      const [config, layer] = second.blobs as [Fixture, Fixture];
      await upload(layer);
      await uploadAtOnce(config);
      const mounted = `/v2/mounted/${repository}/blobs`;
      await change(
        [journal.storing(`${mounted}/${layer.descriptor.digest}`, layer)],
        'POST',
        `${mounted}/uploads/?mount=${layer.descriptor.digest}&from=${repository}`,
      );
      await putManifest(second, 'latest', ['latest']);
      await putManifest(signature, signature.descriptor.digest, []);
      await putManifest(second, `${second.descriptor.digest}?tag=a&tag=b`, ['a', 'b']);
      await change([journal.untagging(at('manifests/a'))], 'DELETE', at('manifests/a'));
      const { headers } = await ask('POST', at('blobs/uploads/'));
      if (headers.location !== undefined) {
        await ask('PATCH', String(headers.location), { body: Buffer.from('given up') });
        await ask('DELETE', String(headers.location));
      }
      await change(
        [
          journal.deleting(manifestAt(second)),
          journal.untaggingFrom(at('manifests/latest'), second),
          journal.untaggingFrom(at('manifests/b'), second),
        ],
        'DELETE',
        manifestAt(second),
      );
      await change([journal.deleting(blobAt(layer))], 'DELETE', blobAt(layer));
      return answers.splice(0);
    },

    async pushAgain() {
      await pushImage(second, 'again');
      const refused = answers.splice(0).filter(({ status }) => status >= 300);
      if (refused.length > 0) {
        throw new Error(`a push after the recovery: ${refused[0]?.status} ${refused[0]?.body}`);
      }
    },
  };
}
