import { createHash, randomBytes } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

const mediaTypes = {
  index: 'application/vnd.oci.image.index.v1+json',
  manifest: 'application/vnd.oci.image.manifest.v1+json',
  config: 'application/vnd.oci.image.config.v1+json',
  layer: 'application/vnd.oci.image.layer.v1.tar',
};

/**
 * Writes an OCI image layout (image-spec, "Image Layout") with one image of random layers, tagged
 * `v1`, for clients that push from a folder.
 */
export async function writeOciLayout(dir: string, layerSizes: readonly number[]): Promise<void> {
  await mkdir(join(dir, 'blobs', 'sha256'), { recursive: true });
  const put = async (bytes: Buffer, mediaType: string) => {
    const hex = createHash('sha256').update(bytes).digest('hex');
    await writeFile(join(dir, 'blobs', 'sha256', hex), bytes);
    return { mediaType, digest: `sha256:${hex}`, size: bytes.length };
  };
  const json = (value: unknown) => Buffer.from(JSON.stringify(value));

  const layers = [];
  for (const size of layerSizes) layers.push(await put(randomBytes(size), mediaTypes.layer));
  const config = await put(
    json({
      architecture: 'amd64',
      os: 'linux',
      config: {},
      rootfs: { type: 'layers', diff_ids: layers.map(({ digest }) => digest) },
    }),
    mediaTypes.config,
  );
  const manifest = await put(
    json({ schemaVersion: 2, mediaType: mediaTypes.manifest, config, layers }),
    mediaTypes.manifest,
  );
  const annotations = { 'org.opencontainers.image.ref.name': 'v1' };
  await writeFile(join(dir, 'oci-layout'), json({ imageLayoutVersion: '1.0.0' }));
  await writeFile(
    join(dir, 'index.json'),
    json({
      schemaVersion: 2,
      mediaType: mediaTypes.index,
      manifests: [{ ...manifest, annotations }],
    }),
  );
}
