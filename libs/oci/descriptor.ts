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

/**
 * Some clients read keys whatever their case, others do not: the same bytes would mean two things.
 * @throws RegistryError MANIFEST_INVALID for a key that is a known one but for its case
 */
export function assertSpelling(value: object, known: readonly string[], where: string): void {
  for (const key of Object.keys(value)) {
    if (known.includes(key)) continue;
    const meant = known.find((name) => name.toLowerCase() === key.toLowerCase());
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
  if (isPlatform(platform)) descriptor.platform = platform;
  return descriptor;
}

function isPlatform(value: unknown): value is NonNullable<Descriptor['platform']> {
  if (typeof value !== 'object' || value === null) return false;
  const { architecture, os } = value as Record<string, unknown>;
  return typeof architecture === 'string' && typeof os === 'string';
}
