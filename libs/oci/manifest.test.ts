import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { RegistryError } from './errors.ts';
import { parseManifest } from './manifest.ts';

const types = {
  ociManifest: 'application/vnd.oci.image.manifest.v1+json',
  ociIndex: 'application/vnd.oci.image.index.v1+json',
  dockerManifest: 'application/vnd.docker.distribution.manifest.v2+json',
  dockerList: 'application/vnd.docker.distribution.manifest.list.v2+json',
};
const descriptor = (mediaType = 'application/octet-stream') => ({
  mediaType,
  digest: `sha256:${'a'.repeat(64)}`,
  size: 3,
});
const image = { schemaVersion: 2, config: descriptor(), layers: [descriptor()] };
const index = { schemaVersion: 2, manifests: [descriptor(types.ociManifest)] };
const parse = (value: unknown, type: string) =>
  parseManifest(Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)), type);

test('images and indexes of both families are read', () => {
  for (const type of [types.ociManifest, types.dockerManifest]) {
    const manifest = parse({ ...image, mediaType: type }, type);
    assert.equal(manifest.kind, 'image');
    assert.equal(manifest.mediaType, type);
  }
  for (const type of [types.ociIndex, types.dockerList]) {
    assert.equal(parse({ ...index, mediaType: type }, type).kind, 'index');
  }
});

test('OCI manifests need not name their type', () => {
  assert.equal(parse(image, types.ociManifest).mediaType, types.ociManifest);
});

test('subject, artifactType and annotations are read; null counts as absent', () => {
  const manifest = parse(
    {
      ...image,
      subject: descriptor(types.ociManifest),
      artifactType: 'application/x',
      annotations: { a: 'b' },
    },
    types.ociManifest,
  );
  assert.equal(manifest.subject?.size, 3);
  assert.equal(manifest.artifactType, 'application/x');
  assert.deepEqual(manifest.annotations, { a: 'b' });
  const empty = parse({ ...image, subject: null, annotations: null }, types.ociManifest);
  assert.equal(empty.subject, undefined);
});

const refused: readonly [what: string, value: unknown, type: string, message: RegExp][] = [
  ['no JSON', '{', types.ociManifest, /not valid JSON/],
  ['no object', '[]', types.ociManifest, /not a JSON object/],
  ['no UTF-8', 'x', types.ociManifest, /not valid JSON/],
  ['an unknown type', image, 'application/json', /"application\/json" is not supported/],
  ['no type at all', image, '', /media type "" is not supported/],
  [
    'another type inside',
    { ...image, mediaType: types.dockerManifest },
    types.ociManifest,
    /differs/,
  ],
  [
    'schema 1',
    { schemaVersion: 1 },
    'application/vnd.docker.distribution.manifest.v1+prettyjws',
    /schema 1/,
  ],
  ['another schema version', { ...image, schemaVersion: 1 }, types.ociManifest, /schemaVersion/],
  [
    'layers and manifests',
    { ...image, manifests: [] },
    types.ociManifest,
    /both layers and manifests/,
  ],
  [
    'an image that is to come back as an index',
    { ...image, layers: undefined, manifests: [] },
    types.ociManifest,
    /an image has no manifests/,
  ],
  ['no config', { schemaVersion: 2, layers: [] }, types.ociManifest, /config is not a descriptor/],
  ['layers that are no list', { ...image, layers: {} }, types.ociManifest, /layers is not a list/],
  [
    'a bad digest',
    { ...image, config: { ...descriptor(), digest: 'sha256:x' } },
    types.ociManifest,
    /config has no valid digest/,
  ],
  [
    'a negative size',
    { ...image, layers: [{ ...descriptor(), size: -1 }] },
    types.ociManifest,
    /layers\[0\] has no valid size/,
  ],
  [
    'a size that is no number',
    { ...image, layers: [{ ...descriptor(), size: '3' }] },
    types.ociManifest,
    /no valid size/,
  ],
  [
    'a key in another case',
    { ...image, Layers: [] },
    types.ociManifest,
    /key "Layers" of the manifest must be spelt "layers"/,
  ],
  [
    'a descriptor key in another case',
    { ...image, config: { ...descriptor(), Digest: 'x' } },
    types.ociManifest,
    /key "Digest" of config/,
  ],
  [
    'a key that Go reads as another (U+017F folds to s)',
    { ...image, layerſ: [] },
    types.ociManifest,
    /key "layerſ" of the manifest must be spelt "layers"/,
  ],
  [
    'a descriptor key that Go reads as another',
    { ...image, config: { ...descriptor(), digeſt: 'x' } },
    types.ociManifest,
    /must be spelt "digest"/,
  ],
  [
    'a platform key in another case',
    {
      schemaVersion: 2,
      manifests: [
        {
          ...descriptor(),
          platform: { os: 'linux', architecture: 'amd64', Architecture: 'arm64' },
        },
      ],
    },
    types.ociIndex,
    /key "Architecture" of manifests\[0\]\.platform must be spelt "architecture"/,
  ],
  [
    'a duplicate key',
    '{"schemaVersion":2,"layers":[],"layers":[]}',
    types.ociManifest,
    /duplicate key "layers"/,
  ],
  [
    'an annotation that is no text',
    { ...image, annotations: { a: 1 } },
    types.ociManifest,
    /annotation "a"/,
  ],
];
for (const [what, value, type, message] of refused) {
  test(`${what} is refused`, () => {
    assert.throws(() => parse(value, type), { code: 'MANIFEST_INVALID', message });
  });
}

test('bytes that are no UTF-8 are refused', () => {
  assert.throws(
    () => parseManifest(Buffer.from([0x7b, 0xff, 0x7d]), types.ociManifest),
    /not UTF-8/,
  );
});

test('no input ends in anything but a manifest or MANIFEST_INVALID', () => {
  const value = fc.oneof(
    fc.jsonValue(),
    fc.record(
      {
        schemaVersion: fc.constant(2),
        config: fc.jsonValue(),
        layers: fc.jsonValue(),
        manifests: fc.jsonValue(),
        subject: fc.jsonValue(),
      },
      { requiredKeys: [] },
    ),
  );
  fc.assert(
    fc.property(value, fc.constantFrom(...Object.values(types)), (document, type) => {
      try {
        parse(document, type);
      } catch (error) {
        assert.ok(error instanceof RegistryError && error.code === 'MANIFEST_INVALID');
      }
    }),
    { numRuns: 500 },
  );
});
