/** The manifest media types we store, and what each one is. */
export const manifestTypes = {
  'application/vnd.oci.image.manifest.v1+json': 'image',
  'application/vnd.docker.distribution.manifest.v2+json': 'image',
  'application/vnd.oci.image.index.v1+json': 'index',
  'application/vnd.docker.distribution.manifest.list.v2+json': 'index',
} as const;

export type ManifestMediaType = keyof typeof manifestTypes;

const schema1Types: readonly string[] = [
  'application/vnd.docker.distribution.manifest.v1+json',
  'application/vnd.docker.distribution.manifest.v1+prettyjws',
];

/** Layers that may be absent because the licence forbids to hand them on; clients fetch them elsewhere. */
const nonDistributableTypes: ReadonlySet<string> = new Set([
  'application/vnd.docker.image.rootfs.foreign.diff.tar.gzip',
  'application/vnd.docker.image.rootfs.foreign.diff.tar',
  'application/vnd.oci.image.layer.nondistributable.v1.tar',
  'application/vnd.oci.image.layer.nondistributable.v1.tar+gzip',
  'application/vnd.oci.image.layer.nondistributable.v1.tar+zstd',
]);

export function isManifestMediaType(text: string): text is ManifestMediaType {
  return Object.hasOwn(manifestTypes, text);
}

export function isSchema1MediaType(text: string): boolean {
  return schema1Types.includes(text);
}

export function isNonDistributable(mediaType: string): boolean {
  return nonDistributableTypes.has(mediaType);
}

/** The bare type of a Content-Type header: no parameters, lower case. */
export function bareMediaType(header: string): string {
  return (header.split(';', 1)[0] ?? '').trim().toLowerCase();
}
