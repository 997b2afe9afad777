import { assertSpelling, type Descriptor, parseDescriptor } from './descriptor.ts';
import { RegistryError } from './errors.ts';
import {
  isManifestMediaType,
  isSchema1MediaType,
  type ManifestMediaType,
  manifestTypes,
} from './media-types.ts';
import { countValues, parseStrictJson } from './strict-json.ts';

/** What a manifest may have, where it is taken; what is stored already is read whatever it has. */
export interface ManifestLimits {
  /** Descriptors: config, layers, or children of an index. */
  maxDescriptors?: number;
}

/** Largest manifest we take, in bytes (distribution-spec, "Pushing Manifests": at least 4 MB). */
export const maxManifestSize = 4 * 1024 * 1024;

interface ManifestCommon {
  mediaType: ManifestMediaType;
  artifactType?: string;
  /** What this manifest is about: a signature's image, for example. It need not exist. */
  subject?: Descriptor;
  annotations?: Record<string, string>;
}

export interface ImageManifest extends ManifestCommon {
  kind: 'image';
  config: Descriptor;
  layers: Descriptor[];
}

export interface IndexManifest extends ManifestCommon {
  kind: 'index';
  manifests: Descriptor[];
}

/** A manifest parsed once, at the edge; the bytes themselves are stored as they came. */
export type Manifest = ImageManifest | IndexManifest;

const knownKeys = [
  'schemaVersion',
  'mediaType',
  'artifactType',
  'config',
  'layers',
  'manifests',
  'subject',
  'annotations',
] as const;

/**
 * Parses and validates a manifest (image-spec, "Image Manifest" and "Image Index").
 * Refused, because two clients could read two different images from the same bytes: duplicate keys,
 * keys that differ from known ones in case only, both `layers` and `manifests`, and a `mediaType`
 * other than the Content-Type it came under.
 * @param contentType the bare media type of the request, or of what was stored
 * @throws RegistryError MANIFEST_INVALID
 */
export function parseManifest(
  bytes: Uint8Array,
  contentType: string,
  { maxDescriptors = Infinity }: ManifestLimits = {},
): Manifest {
  if (isSchema1MediaType(contentType)) {
    fail('Docker schema 1 is not accepted; build or convert the image with a current client');
  }
  const document = parseObject(bytes, maxDescriptors);
  const declared = document.mediaType;
  if (declared !== undefined && typeof declared !== 'string') fail('mediaType is not a string');
  const mediaType = contentType === '' ? (declared ?? '') : contentType;
  if (!isManifestMediaType(mediaType)) {
    fail(
      `media type "${mediaType}" is not supported; use one of ${Object.keys(manifestTypes).join(', ')}`,
    );
  }
  if (declared !== undefined && declared !== mediaType) {
    fail(`mediaType "${declared}" differs from the Content-Type "${mediaType}"`);
  }
  if (declared === undefined && mediaType.startsWith('application/vnd.docker.')) {
    fail('a Docker manifest must name its mediaType');
  }
  if (document.schemaVersion !== 2) fail('schemaVersion must be 2');
  if ('layers' in document && 'manifests' in document) fail('has both layers and manifests');

  const common = parseCommon(document, mediaType);
  if (manifestTypes[mediaType] === 'index') {
    // Without either, nobody who reads it later could tell that it is an index.
    if (!('manifests' in document)) fail('has no list of manifests');
    return {
      ...common,
      kind: 'index',
      manifests: descriptors(document.manifests, 'manifests'),
    };
  }
  // Without its type it would come back as an index.
  if (document.manifests !== undefined) fail('an image has no manifests');
  return {
    ...common,
    kind: 'image',
    config: parseDescriptor(document.config, 'config'),
    layers: descriptors(document.layers, 'layers'),
  };
}

/**
 * A manifest as it is stored, which may be of a form that another registry let through; one without a
 * mediaType is told by what it holds. @returns undefined for what cannot be read
 */
export function parseStoredManifest(bytes: Buffer): Manifest | undefined {
  try {
    return parseManifest(bytes, storedMediaType(bytes));
  } catch {
    return undefined;
  }
}

/** The type of a stored manifest: OCI manifests need not name their own. */
export function storedMediaType(bytes: Buffer): string {
  try {
    const document = JSON.parse(bytes.toString('utf8')) as Record<string, unknown>;
    if (typeof document.mediaType === 'string') return document.mediaType;
    return 'manifests' in document
      ? 'application/vnd.oci.image.index.v1+json'
      : 'application/vnd.oci.image.manifest.v1+json';
  } catch {
    return 'application/octet-stream';
  }
}

function parseCommon(
  document: Record<string, unknown>,
  mediaType: ManifestMediaType,
): ManifestCommon {
  const common: ManifestCommon = { mediaType };
  const { artifactType, subject, annotations } = document;
  if (artifactType !== undefined) {
    if (typeof artifactType !== 'string') fail('artifactType is not a string');
    common.artifactType = artifactType;
  }
  if (subject !== undefined && subject !== null) {
    common.subject = parseDescriptor(subject, 'subject');
  }
  if (annotations !== undefined && annotations !== null) {
    if (typeof annotations !== 'object' || Array.isArray(annotations)) {
      fail('annotations is not an object');
    }
    for (const [key, value] of Object.entries(annotations)) {
      if (typeof value !== 'string') fail(`annotation "${key}" is not a string`);
    }
    common.annotations = annotations as Record<string, string>;
  }
  return common;
}

function parseObject(bytes: Uint8Array, maxDescriptors: number): Record<string, unknown> {
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (cause) {
    return fail('is not UTF-8', cause);
  }
  // Nothing else is served while they are read; a descriptor with an annotation has six.
  const maxValues = Math.max(100_000, 10 * maxDescriptors);
  if (maxValues !== Infinity && countValues(text, maxValues) > maxValues) {
    return fail(`it has more than ${maxValues} values, brackets and commas counted`);
  }
  let value: unknown;
  try {
    value = parseStrictJson(text, { maxDepth: 64, first: (all) => assertFew(all, maxDescriptors) });
  } catch (cause) {
    if (cause instanceof RegistryError) throw cause;
    return fail(`is not valid JSON: ${(cause as Error).message}`, cause);
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    return fail('is not a JSON object');
  }
  assertSpelling(value, knownKeys, 'the manifest');
  return value as Record<string, unknown>;
}

/** Counted before anything else is looked at: what follows costs something for each. */
function assertFew(document: unknown, most: number): void {
  if (typeof document !== 'object' || document === null) return;
  const { layers, manifests } = document as Record<string, unknown>;
  for (const list of [layers, manifests]) {
    if (!Array.isArray(list) || list.length <= most) continue;
    throw new RegistryError('MANIFEST_INVALID', {
      message: `manifest invalid: it has ${list.length} descriptors, at most ${most} are accepted`,
      detail: { descriptors: list.length, limit: most },
    });
  }
}

function descriptors(value: unknown, where: string): Descriptor[] {
  if (value === undefined || value === null) return [];
  if (!Array.isArray(value)) fail(`${where} is not a list`);
  return value.map((item, index) => parseDescriptor(item, `${where}[${index}]`));
}

function fail(why: string, cause?: unknown): never {
  throw new RegistryError('MANIFEST_INVALID', { message: `manifest invalid: ${why}`, cause });
}
