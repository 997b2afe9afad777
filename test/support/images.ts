import { randomBytes } from 'node:crypto';
import type { Descriptor } from '#libs/oci/descriptor.ts';
import { digestOf } from '#libs/oci/digest.ts';

export const mediaTypes = {
  ociManifest: 'application/vnd.oci.image.manifest.v1+json',
  ociIndex: 'application/vnd.oci.image.index.v1+json',
  ociConfig: 'application/vnd.oci.image.config.v1+json',
  ociLayer: 'application/vnd.oci.image.layer.v1.tar+gzip',
  dockerManifest: 'application/vnd.docker.distribution.manifest.v2+json',
  dockerList: 'application/vnd.docker.distribution.manifest.list.v2+json',
  dockerConfig: 'application/vnd.docker.container.image.v1+json',
  dockerLayer: 'application/vnd.docker.image.rootfs.diff.tar.gzip',
} as const;

/** Content with what points at it. */
export interface Fixture {
  bytes: Buffer;
  descriptor: Descriptor;
}

/** An image: its manifest, and the blobs that must be there first. */
export interface ImageFixture extends Fixture {
  blobs: Fixture[];
}

type Flavour = 'oci' | 'docker';

export function describeBytes(bytes: Buffer, mediaType: string): Fixture {
  return { bytes, descriptor: { mediaType, digest: digestOf(bytes), size: bytes.length } };
}

/** A layer of random bytes, so that no two are the same blob. */
export function makeLayer(size = 100, mediaType: string = mediaTypes.ociLayer): Fixture {
  return describeBytes(randomBytes(size), mediaType);
}

/** A small image that no other test has. */
export function makeImage(
  flavour: Flavour = 'oci',
  layerSizes: number[] = [100, 20],
): ImageFixture {
  const config = makeLayer(30, mediaTypes[`${flavour}Config`]);
  const layers = layerSizes.map((size) => makeLayer(size, mediaTypes[`${flavour}Layer`]));
  const mediaType = mediaTypes[`${flavour}Manifest`];
  return {
    ...describeJson(mediaType, {
      schemaVersion: 2,
      mediaType,
      config: config.descriptor,
      layers: layers.map(({ descriptor }) => descriptor),
    }),
    blobs: [config, ...layers],
  };
}

/** An index of images, one for each of some platforms. */
export function makeIndex(images: readonly Fixture[], flavour: Flavour = 'oci'): Fixture {
  const mediaType = flavour === 'oci' ? mediaTypes.ociIndex : mediaTypes.dockerList;
  return describeJson(mediaType, {
    schemaVersion: 2,
    mediaType,
    manifests: images.map(({ descriptor }, index) => ({
      ...descriptor,
      platform: { os: 'linux', architecture: ['amd64', 'arm64', 's390x'][index] ?? `cpu${index}` },
    })),
  });
}

/** JSON under a media type, spelt as most clients spell it. */
export function describeJson(mediaType: string, value: unknown): Fixture {
  return describeBytes(Buffer.from(JSON.stringify(value, null, 3)), mediaType);
}
