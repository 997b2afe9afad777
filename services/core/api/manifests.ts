import { readBody } from '#libs/http/body.ts';
import { maxManifestSize } from '#libs/oci/manifest.ts';
import { formatReference } from '#libs/oci/reference.ts';
import type { Registry } from '../registry/registry.ts';
import { describeContent, isNotModified } from './caching.ts';
import { assertDeleteEnabled } from './deletion.ts';
import type { Handler } from './handler.ts';

/** GET and HEAD of a manifest by tag or digest (distribution-spec, "Pulling manifests"). */
export function getManifest({ manifests }: Registry): Handler {
  return async (ctx, { name, reference }) => {
    const { digest, mediaType, bytes } = await manifests.get(name, reference);
    describeContent(ctx, digest);
    if (isNotModified(ctx, digest)) return;
    ctx.set('Content-Type', mediaType);
    ctx.body = bytes;
  };
}

/** PUT of a manifest (distribution-spec, "Pushing Manifests"). */
export function putManifest({ manifests }: Registry): Handler {
  return async (ctx, { name, reference }) => {
    const bytes = await readBody(ctx.req, maxManifestSize);
    const { digest, manifest } = await manifests.put(
      name,
      reference,
      bytes,
      ctx.get('Content-Type'),
    );
    ctx.status = 201;
    ctx.set('Location', `/v2/${name}/manifests/${digest}`);
    ctx.set('Docker-Content-Digest', digest);
    // Tells the client that it need not keep the fallback tag (distribution-spec, "Pushing Manifests
    // with Subject").
    if (manifest.subject !== undefined) ctx.set('OCI-Subject', manifest.subject.digest);
    ctx.state.log.info(
      { repository: name, reference: formatReference(reference), digest },
      'manifest stored',
    );
  };
}

/** DELETE of one tag, or of a manifest with all its tags (distribution-spec, "Deleting manifests"). */
export function deleteManifest({ manifests }: Registry, deleteEnabled: boolean): Handler {
  return async (ctx, { name, reference }) => {
    assertDeleteEnabled(deleteEnabled);
    if (reference.kind === 'tag') await manifests.removeTag(name, reference.tag);
    else await manifests.remove(name, reference.digest);
    ctx.status = 202;
  };
}
