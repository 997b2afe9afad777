import { readBody } from '#libs/http/body.ts';
import { disposeWithAnswer, whileClientWaits } from '#libs/http/client-gone.ts';
import { partiesOf } from '#libs/limits/parties.ts';
import { RegistryError } from '#libs/oci/errors.ts';
import { maxManifestSize } from '#libs/oci/manifest.ts';
import { formatReference, parseTag, type Tag } from '#libs/oci/reference.ts';
import type { CoreBudgets } from '../budgets.ts';
import { DamagedManifestError } from '../registry/manifest-reader.ts';
import type { Registry } from '../registry/registry.ts';
import { describeContent, isNotModified, writeCondition } from './conditions.ts';
import { assertDeleteEnabled } from './deletion.ts';
import type { Handler } from './handler.ts';
import { negotiate } from './negotiate.ts';
import { nameValidators, type VisibleTree, validatorsFor } from './visible-tree.ts';
import { warn } from './warnings.ts';

/**
 * GET and HEAD of a manifest by tag or digest (distribution-spec, "Pulling manifests").
 * @param tree undefined where gateways cannot see it
 */
export function getManifest(
  { manifests }: Registry,
  budgets: Pick<CoreBudgets, 'downloads'>,
  tree?: VisibleTree,
): Handler {
  return async (ctx, { name, reference }) => {
    // Held whole until the client has it: large ones take of the memory for what is on its way to clients.
    const takeMemory = async (size: number) => {
      if (size <= smallManifest) return;
      const { client, subject } = ctx.state.caller;
      const signal = whileClientWaits(ctx.res);
      const lease = await budgets.downloads.take(partiesOf(client, subject), size, { signal });
      disposeWithAnswer(ctx.res, lease);
    };
    const files = validatorsFor(ctx, tree);
    const options = { beforeRead: takeMemory, files };
    const stored = await negotiate(ctx, manifests, name, reference, options).catch(
      (error: unknown) => {
        if (error instanceof DamagedManifestError) ctx.state.log.error(error.message);
        throw error;
      },
    );
    const { digest, mediaType, bytes } = stored;
    describeContent(ctx, digest);
    if (isNotModified(ctx, digest)) return;
    ctx.set('Content-Type', mediaType);
    ctx.body = bytes;
    nameValidators(ctx, files);
  };
}

/** Bytes of a manifest that no budget has to know of. */
export const smallManifest = 64 * 1024;

/** Tags of one push; each costs two durable writes. */
const maxTags = 100;

export interface PutManifestOptions {
  budgets: Pick<CoreBudgets, 'manifests'>;
  /** Descriptors a manifest may have. */
  maxDescriptors: number;
}

/** What the smallest manifest costs while it is taken, in bytes. */
const leastCost = 16 * 1024;

/** PUT of a manifest, by digest with any number of tags (distribution-spec, "Pushing Manifests"). */
export function putManifest(
  { manifests }: Registry,
  { budgets, maxDescriptors }: PutManifestOptions,
): Handler {
  return async (ctx, { name, reference }) => {
    const tags = reference.kind === 'digest' ? tagsOf(ctx.querystring) : [];
    const condition = writeCondition(ctx);
    const { caller, requester } = ctx.state;
    const parties = partiesOf(caller.client, caller.subject);
    using memory = await budgets.manifests.takeGrowing(parties, leastCost, requester);
    const bytes = await readBody(ctx.req, maxManifestSize, { signal: requester.signal, memory });
    const pushed = {
      reference,
      bytes,
      contentType: ctx.get('Content-Type'),
      moreTags: tags,
      condition,
      maxDescriptors,
    };
    const stored = await manifests.put(name, pushed, requester);
    const { digest, manifest, missing, moved } = stored;
    if (missing.length > 0) {
      warn(ctx, `stored, though ${name} lacks ${missing.length} of what it refers to`);
    }
    if (tags.length > 0) ctx.set('OCI-Tag', tags.join(', '));
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
    ctx.state.audit('push', { repository: name, digest });
    for (const { tag, from } of moved) {
      if (from !== digest) ctx.state.audit('tag', { repository: name, tag, from, to: digest });
    }
  };
}

/** @throws RegistryError TAG_INVALID, REQUEST_INVALID; before anything is stored */
function tagsOf(querystring: string): Tag[] {
  const tags = [...new Set(new URLSearchParams(querystring).getAll('tag'))];
  if (tags.length > maxTags) {
    throw new RegistryError('REQUEST_INVALID', {
      message: `a push may set at most ${maxTags} tags, not ${tags.length}`,
    });
  }
  return tags.map(parseTag);
}

/** DELETE of one tag, or of a manifest with all its tags (distribution-spec, "Deleting manifests"). */
export function deleteManifest({ manifests }: Registry, deleteEnabled: boolean): Handler {
  return async (ctx, { name, reference }) => {
    assertDeleteEnabled(deleteEnabled);
    const condition = writeCondition(ctx);
    const { requester } = ctx.state;
    if (reference.kind === 'tag') {
      await manifests.removeTag(name, reference.tag, condition, requester);
    } else await manifests.remove(name, reference.digest, condition, requester);
    ctx.status = 202;
    ctx.state.audit('delete', { repository: name, manifest: formatReference(reference) });
  };
}
