import { type Digest, digestParts } from '#libs/oci/digest.ts';
import type { RepositoryName, Tag } from '#libs/oci/reference.ts';
import type { UploadId } from '#libs/oci/upload-id.ts';
import { treeFolder } from '#libs/values/storage-tree.ts';
import type { StoragePath } from '../storage/driver.ts';

/**
 * The only builder of storage paths. The tree is distribution's, so that either registry can serve
 * what the other wrote; docs/storage-layout.md draws it with its invariants.
 *
 *     /docker/registry/v2/
 *       blobs/<alg>/<first 2 hex>/<hex>/data
 *       repositories/<name>/
 *         _layers/<alg>/<hex>/link
 *         _manifests/revisions/<alg>/<hex>/link
 *         _manifests/tags/<tag>/current/link
 *         _manifests/tags/<tag>/index/<alg>/<hex>/link
 *         _uploads/<id>/startedat
 *         _uploads/<id>/session          ours: whose upload it is; nobody wrote to it yet
 *         _uploads/<id>/session.<fence>  ours: the same, and which holder writes to it
 *         _uploads/<id>/ended.<fence>    ours: the same of one that is over and about to be removed
 *         _uploads/<id>/data.<fence>     ours: the bytes one holder wrote
 *         _uploads/<id>/open.<fence>     ours: the same while it is being written to
 *         _uploads/<id>/open.<fence>.<n> and cut.<fence>.<n>  of earlier versions: n bytes count
 *         _uploads/<id>/stored.<fence>   ours: a digest: the bytes of that holder were found to be this and became a blob
 *         _uploads/<id>/copy.<fence>     ours: what a new holder is taking over, until it is whole
 *         _portcullis/referrers/<alg>/<subject hex>/<alg>-<hex>   ours: a manifest with that subject
 *       _portcullis/owner                ours: who writes here, and a counter that shows that it lives
 *       _portcullis/owners/<n>           ours: a claim to the tree; the highest is its owner's
 *       _portcullis/owners/<n>.released  ours: the same when its owner gave the tree back
 *       _portcullis/owners/<n>.sock      ours: where that owner listens, on this machine
 *       _portcullis/tmp/                 ours: small files on their way
 *       _portcullis/trash/<epoch>/       ours: what a collection took away, until its grace is over
 *         blobs/<alg>/<hex>
 *         repositories/<name>/_layers/<alg>/<hex>
 *         repositories/<name>/_manifests/<alg>/<hex>
 *       _portcullis/damaged/<alg>/<hex>  ours: blobs that were not what their name says
 *       _portcullis/dangling/<hex>/<hex>.<uuid>  ours: notes of links that led nowhere, by their repository
 */
const root = `/${treeFolder}`;

/** Links of a repository that a collection may take away. */
type LinkKind = 'layer' | 'manifest';

/** Where a repository in the trash keeps them. */
export const trashedLinkFolders = { layer: '_layers', manifest: '_manifests' } as const;

const at = (path: string) => `${root}${path}` as StoragePath;
const inRepository = (name: RepositoryName, path: string) => at(`/repositories/${name}/${path}`);

function linkFolder(digest: Digest): string {
  const { algorithm, hex } = digestParts(digest);
  return `${algorithm}/${hex}`;
}

/** A path as it stands below the folder of the tree. */
export function pathInTree(path: StoragePath): string {
  return path.slice(root.length + 1);
}

export const paths = {
  root: root as StoragePath,
  owner: at('/_portcullis/owner'),
  claims: at('/_portcullis/owners'),
  claim: (number: number) => at(`/_portcullis/owners/${number}`),
  releasedClaim: (number: number) => at(`/_portcullis/owners/${number}.released`),
  claimSocket: (number: number) => at(`/_portcullis/owners/${number}.sock`),
  /** A file to try whether the storage takes one; left behind, it is cleared with other temporary files. */
  writeProbe: (id: string) => at(`/_portcullis/tmp/${id}`),
  repositories: at('/repositories'),

  /** A folder below `repositories`; `relative` may be a repository or only a part of its name. */
  namespace: (relative: string) =>
    relative === '' ? at('/repositories') : at(`/repositories/${relative}`),

  /** Folders of the blobs, as far down as is named. */
  blobs: (algorithm = '', prefix = '') =>
    at(['/blobs', algorithm, prefix].filter((part) => part !== '').join('/')),
  blobFolder(digest: Digest): StoragePath {
    const { algorithm, hex } = digestParts(digest);
    return at(`/blobs/${algorithm}/${hex.slice(0, 2)}/${hex}`);
  },
  blob: (digest: Digest) => `${paths.blobFolder(digest)}/data` as StoragePath,
  allDamaged: at('/_portcullis/damaged'),
  damaged: (digest: Digest) => at(`/_portcullis/damaged/${linkFolder(digest)}`),

  danglingLinks: at('/_portcullis/dangling'),

  trash: at('/_portcullis/trash'),
  trashEpoch: (epoch: string) => at(`/_portcullis/trash/${epoch}`),
  /** What stands in a folder that one of the others named. */
  below: (folder: StoragePath, name: string) => `${folder}/${name}` as StoragePath,
  trashedBlobs: (epoch: string) => at(`/_portcullis/trash/${epoch}/blobs`),
  trashedBlob: (epoch: string, digest: Digest) =>
    at(`/_portcullis/trash/${epoch}/blobs/${linkFolder(digest)}`),
  /** A folder below `repositories` there; `relative` may be a repository or only a part of its name. */
  trashedNamespace: (epoch: string, relative: string) =>
    at(
      ['/_portcullis/trash', epoch, 'repositories', relative]
        .filter((part) => part !== '')
        .join('/'),
    ),
  trashedLinks: (epoch: string, name: RepositoryName, kind: LinkKind) =>
    at(`/_portcullis/trash/${epoch}/repositories/${name}/${trashedLinkFolders[kind]}`),
  trashedLink: (epoch: string, name: RepositoryName, kind: LinkKind, digest: Digest) =>
    at(
      `/_portcullis/trash/${epoch}/repositories/${name}/${trashedLinkFolders[kind]}/${linkFolder(digest)}`,
    ),

  layers: (name: RepositoryName) => inRepository(name, '_layers'),
  layerLink: (name: RepositoryName, digest: Digest) =>
    inRepository(name, `_layers/${linkFolder(digest)}/link`),
  layerFolder: (name: RepositoryName, digest: Digest) =>
    inRepository(name, `_layers/${linkFolder(digest)}`),

  revisions: (name: RepositoryName) => inRepository(name, '_manifests/revisions'),
  revisionLink: (name: RepositoryName, digest: Digest) =>
    inRepository(name, `_manifests/revisions/${linkFolder(digest)}/link`),
  revisionFolder: (name: RepositoryName, digest: Digest) =>
    inRepository(name, `_manifests/revisions/${linkFolder(digest)}`),

  tags: (name: RepositoryName) => inRepository(name, '_manifests/tags'),
  tag: (name: RepositoryName, tag: Tag) => inRepository(name, `_manifests/tags/${tag}`),
  tagCurrent: (name: RepositoryName, tag: Tag) =>
    inRepository(name, `_manifests/tags/${tag}/current/link`),
  tagHistory: (name: RepositoryName, tag: Tag) =>
    inRepository(name, `_manifests/tags/${tag}/index`),
  tagIndex: (name: RepositoryName, tag: Tag, digest: Digest) =>
    inRepository(name, `_manifests/tags/${tag}/index/${linkFolder(digest)}/link`),

  allReferrers: (name: RepositoryName) => inRepository(name, '_portcullis/referrers'),
  referrers: (name: RepositoryName, subject: Digest) =>
    inRepository(name, `_portcullis/referrers/${linkFolder(subject)}`),
  referrer: (name: RepositoryName, subject: Digest, digest: Digest) =>
    inRepository(
      name,
      `_portcullis/referrers/${linkFolder(subject)}/${linkFolder(digest).replace('/', '-')}`,
    ),

  uploads: (name: RepositoryName) => inRepository(name, '_uploads'),
  upload: (name: RepositoryName, id: UploadId) => inRepository(name, `_uploads/${id}`),
  uploadStartedAt: (name: RepositoryName, id: UploadId) =>
    inRepository(name, `_uploads/${id}/startedat`),
  uploadFile: (name: RepositoryName, id: UploadId, file: UploadFile) =>
    inRepository(name, `_uploads/${id}/${formatUploadFile(file)}`),
} as const;

/** A file of an upload, as its name tells it; docs/adr/0014 has the steps between them, `partial-upload.ts` those of the bytes. */
export interface UploadFile {
  kind: 'session' | 'ended' | 'stored' | 'data' | 'open' | 'copy';
  /** Number of the holder; 0 before the first one. */
  fence: number;
  /** Bytes that count, of a file whose name an earlier version gave it: those behind belong to a chunk that is sent again. */
  size?: number;
}

function formatUploadFile({ kind, fence }: UploadFile): string {
  return fence === 0 ? kind : `${kind}.${fence}`;
}

/** What the name of a file in an upload's folder says; undefined for a name that is none of ours. */
export function parseUploadFile(name: string): UploadFile | undefined {
  const match = /^(session|ended|stored|data|open|copy)\.(\d{1,9})$/.exec(name);
  if (match !== null) return { kind: match[1] as UploadFile['kind'], fence: Number(match[2]) };
  // An earlier version wrote `stored` without a number.
  if (name === 'session' || name === 'ended' || name === 'stored') return { kind: name, fence: 0 };
  // Earlier versions wrote where the last chunk began behind some names: such a file is copied, as an open one is.
  const former = /^(?:open|cut)\.(\d{1,9})\.(\d{1,15})$/.exec(name);
  if (former === null) return undefined;
  return { kind: 'open', fence: Number(former[1]), size: Number(former[2]) };
}
