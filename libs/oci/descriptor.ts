import { type Digest, isDigest } from './digest.ts';
import { RegistryError } from './errors.ts';

/** What points at content: image-spec, "Content Descriptors". */
export interface Descriptor {
  mediaType: string;
  digest: Digest;
  /** Bytes. */
  size: number;
  artifactType?: string;
  platform?: { architecture: string; os: string; variant?: string };
}

const descriptorKeys = [
  'mediaType',
  'digest',
  'size',
  'urls',
  'annotations',
  'data',
  'artifactType',
  'platform',
] as const;

/** image-spec, "platform" of an index; `features` is Docker's. */
const platformKeys = [
  'architecture',
  'os',
  'os.version',
  'os.features',
  'variant',
  'features',
] as const;

/** As Go's encoding/json folds keys: U+212A, which toLowerCase() knows too, is a k for it, and U+017F an s. */
const fold = (key: string) => key.toLowerCase().replaceAll('\u017f', 's');

/**
 * Some clients read keys whatever their case, others do not: the same bytes would mean two things.
 * @throws RegistryError MANIFEST_INVALID for a key that is a known one but for its case
 */
export function assertSpelling(value: object, known: readonly string[], where: string): void {
  for (const key of Object.keys(value)) {
    if (known.includes(key)) continue;
    const folded = fold(key);
    const meant = known.find((name) => fold(name) === folded);
    if (meant === undefined) continue;
    throw new RegistryError('MANIFEST_INVALID', {
      message: `manifest invalid: key "${key}" of ${where} must be spelt "${meant}"`,
    });
  }
}

/**
 * Reads one descriptor of a manifest.
 * @param where how the manifest names it (`layers[2]`), for the message
 * @throws RegistryError MANIFEST_INVALID
 */
export function parseDescriptor(value: unknown, where: string): Descriptor {
  const fail = (why: string): never => {
    throw new RegistryError('MANIFEST_INVALID', { message: `manifest invalid: ${where} ${why}` });
  };
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    return fail('is not a descriptor');
  }
  assertSpelling(value, descriptorKeys, where);
  const { mediaType, digest, size, artifactType, platform } = value as Record<string, unknown>;
  if (typeof mediaType !== 'string' || mediaType === '') return fail('has no mediaType');
  if (typeof digest !== 'string' || !isDigest(digest)) return fail('has no valid digest');
  if (typeof size !== 'number' || !Number.isSafeInteger(size) || size < 0) {
    return fail('has no valid size');
  }
  const descriptor: Descriptor = { mediaType, digest, size };
  if (typeof artifactType === 'string') descriptor.artifactType = artifactType;
  if (typeof platform === 'object' && platform !== null) {
    assertSpelling(platform, platformKeys, `${where}.platform`);
    if (isPlatform(platform)) descriptor.platform = platform;
  }
  return descriptor;
}

function isPlatform(value: object): value is NonNullable<Descriptor['platform']> {
  const { architecture, os } = value as Record<string, unknown>;
  return typeof architecture === 'string' && typeof os === 'string';
}
