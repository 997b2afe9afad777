import { randomBytes } from 'node:crypto';
import { type DigestAlgorithm, digestOf } from '#libs/oci/digest.ts';
import { maxManifestSize } from '#libs/oci/manifest.ts';
import { type Fixture, makeImage, makeIndex, makeLayer, mediaTypes } from '../../support/images.ts';

/** A blob that the requirements about blobs are checked with. */
export interface BlobSet extends Fixture {
  name: string;
}

/** A manifest that the requirements about manifests are checked with, and what must be there first. */
export interface ObjectSet {
  name: string;
  blobs: readonly Fixture[];
  /** Manifests that come before the root, children first. */
  parts: readonly Fixture[];
  root: Fixture;
  /** What it is tagged with where cases share it; `v1` unless given. */
  tags?: readonly string[];
}

/** What the rows read of a manifest: the fields of image-spec, before anybody checked them. */
export interface Document {
  mediaType?: string;
  artifactType?: string;
  config?: { mediaType: string };
  subject?: { digest: string };
  annotations?: Record<string, string>;
}

const MiB = 1024 * 1024;
const emptyType = 'application/vnd.oci.empty.v1+json';

function describe(bytes: Buffer, mediaType: string, algorithm: DigestAlgorithm): Fixture {
  return {
    bytes,
    descriptor: { mediaType, digest: digestOf(bytes, algorithm), size: bytes.length },
  };
}

const blob = (name: string, size: number, algorithm: DigestAlgorithm = 'sha256'): BlobSet => ({
  name,
  ...describe(randomBytes(size), 'application/octet-stream', algorithm),
});

export const blobs: readonly BlobSet[] = [
  blob('a blob', 1000),
  blob('a blob under its sha512', 1000, 'sha512'),
  blob('a blob of one byte', 1),
  blob('a blob of 5 MiB', 5 * MiB + 3),
  blob('the empty blob', 0),
  blob('the empty blob under its sha512', 0, 'sha512'),
];

/** For what has nothing to do with size. */
export const smallBlobs = blobs.filter(({ bytes }) => bytes.length <= 1000);

/** For what cannot be said of no bytes: parts of them, and their order. */
export const filledBlobs = blobs.filter(({ bytes }) => bytes.length > 0);
export const smallFilledBlobs = smallBlobs.filter(({ bytes }) => bytes.length > 0);

interface Making {
  blobs?: readonly Fixture[];
  parts?: readonly Fixture[];
  /** The Content-Type; by default what the document says of itself. */
  mediaType?: string;
  algorithm?: DigestAlgorithm;
  /** How the document is spelt. */
  spell?: (document: object) => string;
}

function object(name: string, document: object, making: Making = {}): ObjectSet {
  const { blobs = [], parts = [], algorithm = 'sha256', spell = JSON.stringify } = making;
  const mediaType = making.mediaType ?? (document as Document).mediaType ?? '';
  return { name, blobs, parts, root: describe(Buffer.from(spell(document)), mediaType, algorithm) };
}

const pointersTo = (fixtures: readonly Fixture[]) => fixtures.map(({ descriptor }) => descriptor);

const config = makeLayer(30, mediaTypes.ociConfig);
const layers = [makeLayer(200), makeLayer(20)];
const empty = describe(Buffer.from('{}'), emptyType, 'sha256');
const imageBlobs = [config, ...layers];

const image = {
  schemaVersion: 2,
  mediaType: mediaTypes.ociManifest,
  config: config.descriptor,
  layers: pointersTo(layers),
};
const artifact = { ...image, config: empty.descriptor, layers: [empty.descriptor] };
const index = { schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests: [] as unknown[] };

/** A manifest for others to be about, or to hold. */
const platforms = [makeImage('oci', [20]), makeImage('oci', [10])];
const platformBlobs = platforms.flatMap((one) => one.blobs);
const subject = platforms[0] as Fixture;
const absent = makeImage();
const dockerImage = makeImage('docker', [20]);
const inner = makeIndex(platforms);
const many = { ...index, manifests: pointersTo(platforms) };
const longBlobs = [30, 200].map((size) => describe(randomBytes(size), 'text/plain', 'sha512'));

/** Spaces, escapes and a last line break that no encoder of ours would write. */
const oddly = (document: object) =>
  ` ${JSON.stringify(document, null, '\t').replaceAll('\n', '\r\n').replaceAll('/', '\\/')}\r\n\n`;

/** A document that is as long as a manifest may be, to the byte. */
function full(document: object): object {
  const padded = (padding: string) => ({ ...document, annotations: { padding } });
  const room = maxManifestSize - JSON.stringify(padded('')).length;
  return padded('x'.repeat(room));
}

const imageWith = (name: string, more: object, making: Making = {}) =>
  object(name, { ...image, ...more }, { blobs: imageBlobs, ...making });

const indexWith = (name: string, more: object, making: Making = {}) =>
  object(name, { ...many, ...more }, { blobs: platformBlobs, parts: platforms, ...making });

export const objects: readonly ObjectSet[] = [
  imageWith('an image', {}),
  object(
    'an image under its sha512, of blobs under theirs',
    { ...image, config: longBlobs[0]?.descriptor, layers: pointersTo(longBlobs.slice(1)) },
    { blobs: longBlobs, algorithm: 'sha512' },
  ),
  imageWith('an image without layers', { layers: [] }),
  imageWith(
    'an image that does not name its type',
    { mediaType: undefined },
    { mediaType: image.mediaType },
  ),
  imageWith('an image that is oddly spelt', { annotations: { key: 'ä/€/😀' } }, { spell: oddly }),
  imageWith('an image of unknown media types', {
    config: { ...config.descriptor, mediaType: 'application/vnd.example.config.v7' },
    layers: layers.map(({ descriptor }) => ({ ...descriptor, mediaType: 'text/x-unheard-of' })),
  }),
  imageWith('an image with a layer that may not be handed on', {
    layers: [
      ...pointersTo(layers),
      {
        ...makeLayer(50, 'application/vnd.oci.image.layer.nondistributable.v1.tar+gzip').descriptor,
        urls: ['https://layers.example/there'],
      },
    ],
  }),
  imageWith('an image with fields of its own', {
    'org.example.field': { deep: [1, 'two', { three: null }] },
    config: { ...config.descriptor, 'org.example.more': true },
  }),
  imageWith('an image with its data inside', {
    config: { ...config.descriptor, data: config.bytes.toString('base64') },
  }),
  object('an image of 4 MiB', full(image), { blobs: imageBlobs }),
  object('a Docker image', JSON.parse(dockerImage.bytes.toString()) as object, {
    blobs: dockerImage.blobs,
  }),
  object(
    'an artifact of the empty layer',
    { ...artifact, artifactType: 'text/x-made-up' },
    { blobs: [empty] },
  ),
  imageWith(
    'an artifact with a layer',
    {
      config: empty.descriptor,
      artifactType: 'application/vnd.example.sbom',
      annotations: { 'org.example.by': 'alice' },
    },
    { blobs: [empty, ...layers] },
  ),
  indexWith('an index', {}),
  indexWith(
    'an index that does not name its type',
    { mediaType: undefined },
    { mediaType: index.mediaType },
  ),
  indexWith('an index with an artifactType', { artifactType: 'application/vnd.example.bundle' }),
  object('an empty index', index),
  indexWith(
    'an index of an index',
    { manifests: [inner.descriptor] },
    { parts: [...platforms, inner] },
  ),
  object(
    'a Docker manifest list',
    { ...index, mediaType: mediaTypes.dockerList, manifests: [dockerImage.descriptor] },
    { blobs: dockerImage.blobs, parts: [dockerImage] },
  ),
  imageWith(
    'an image with a subject',
    { subject: subject.descriptor, annotations: { a: 'b', '': '' } },
    {
      blobs: [...imageBlobs, ...platformBlobs],
      parts: [subject],
    },
  ),
  imageWith('an image with a subject that is not there', { subject: absent.descriptor }),
  imageWith('an image with a subject known by its sha512', {
    subject: describe(absent.bytes, mediaTypes.ociManifest, 'sha512').descriptor,
  }),
  imageWith(
    'an artifact with a subject',
    {
      config: empty.descriptor,
      subject: absent.descriptor,
      artifactType: 'application/vnd.example.signature',
      annotations: { 'org.example.by': 'ä "quoted" name' },
    },
    { blobs: [empty, ...layers] },
  ),
  imageWith('an artifact with a subject and an empty artifactType', {
    subject: absent.descriptor,
    artifactType: '',
  }),
  imageWith(
    'an artifact with a subject, under its sha512',
    { subject: absent.descriptor, artifactType: 'a/b' },
    { algorithm: 'sha512' },
  ),
  indexWith('an index with a subject', { subject: subject.descriptor, annotations: { c: 'd' } }),
  indexWith('an index with a subject and an artifactType', {
    subject: absent.descriptor,
    artifactType: 'application/vnd.example.bundle',
  }),
  indexWith('an index with a subject and an empty artifactType', {
    subject: absent.descriptor,
    artifactType: '',
  }),
];

export const documentOf = ({ root }: ObjectSet): Document =>
  JSON.parse(root.bytes.toString()) as Document;

/** One object of each kind, for what depends on the kind alone. */
export const kinds = [
  'an image',
  'an image under its sha512, of blobs under theirs',
  'a Docker image',
  'an index of an index',
  'a Docker manifest list',
  'an image with a subject',
  'an artifact with a subject, under its sha512',
  'an index with a subject',
].map((name) => objects.find((one) => one.name === name) as ObjectSet);

/** Objects that are about another one. */
export const referrers = objects.filter((one) => documentOf(one).subject !== undefined);

/** Images and artifacts, which have blobs of their own. */
export const images = objects.filter((one) => documentOf(one).config !== undefined);

/** One image for what does not depend on what is in it. */
export const [anyImage] = objects as readonly [ObjectSet];
export const [anyBlob] = blobs as readonly [BlobSet];
