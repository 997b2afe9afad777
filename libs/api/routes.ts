/**
 * The route table of the registry: what can be asked, what access it needs, and where the
 * specification says so. The gateway authorises by it and the core dispatches by it, so "who may do
 * what" is this one screen. GET also serves HEAD.
 *
 * The fourth column is what the token must hold:
 * - `login`: any valid token; no token at all is a challenge
 * - `catalog`: `registry:catalog` with `*` (everything is listed) or `pull` (what the caller may pull)
 * - otherwise these actions on `repository:<name>`
 *
 * The fifth is the endpoint's number in the distribution specification, or `docker` for what is
 * older than it.
 */
const table = [
  ['base', 'GET', '/v2/', 'login', 'end-1'],
  ['catalog', 'GET', '/v2/_catalog', 'catalog', 'docker'],
  ['listTags', 'GET', '/v2/<name>/tags/list', 'pull', 'end-8'],
  ['getManifest', 'GET', '/v2/<name>/manifests/<reference>', 'pull', 'end-3'],
  ['putManifest', 'PUT', '/v2/<name>/manifests/<reference>', 'pull,push', 'end-7'],
  ['deleteManifest', 'DELETE', '/v2/<name>/manifests/<reference>', 'delete', 'end-9'],
  ['listReferrers', 'GET', '/v2/<name>/referrers/<digest>', 'pull', 'end-12'],
  ['startUpload', 'POST', '/v2/<name>/blobs/uploads/', 'pull,push', 'end-4'],
  ['uploadStatus', 'GET', '/v2/<name>/blobs/uploads/<session>', 'push', 'end-13'],
  ['appendUpload', 'PATCH', '/v2/<name>/blobs/uploads/<session>', 'pull,push', 'end-5'],
  ['completeUpload', 'PUT', '/v2/<name>/blobs/uploads/<session>', 'pull,push', 'end-6'],
  ['cancelUpload', 'DELETE', '/v2/<name>/blobs/uploads/<session>', 'push', 'end-14'],
  ['getBlob', 'GET', '/v2/<name>/blobs/<digest>', 'pull', 'end-2'],
  ['deleteBlob', 'DELETE', '/v2/<name>/blobs/<digest>', 'delete', 'end-10'],
] as const;

export type RouteId = (typeof table)[number][0];

export interface Route {
  id: RouteId;
  method: 'GET' | 'PUT' | 'POST' | 'PATCH' | 'DELETE';
  path: string;
  needs: 'login' | 'catalog' | readonly string[];
  spec: string;
}

export const routes: readonly Route[] = table.map(([id, method, path, needs, spec]) => ({
  id,
  method,
  path,
  needs: needs === 'login' || needs === 'catalog' ? needs : needs.split(','),
  spec,
}));
