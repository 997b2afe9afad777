import { type Digest, parseDigest } from '#libs/oci/digest.ts';
import { RegistryError } from '#libs/oci/errors.ts';
import {
  parseReference,
  parseRepositoryName,
  type Reference,
  type RepositoryName,
} from '#libs/oci/reference.ts';
import { parseUploadId, type UploadId } from '#libs/oci/upload-id.ts';
import { type Route, routes } from './routes.ts';

/** The typed values of a path; a route has those that its row names. */
export interface RouteParams {
  name: RepositoryName;
  reference: Reference;
  digest: Digest;
  session: UploadId;
}

export interface RouteMatch {
  route: Route;
  params: RouteParams;
}

const placeholder = /<(name|reference|digest|session)>/g;

/** A name takes as much as it can, so the last `/manifests/`, `/blobs/` or `/tags/` is the one meant. */
function compile(path: string): RegExp {
  const source = path
    .replace(placeholder, (_, key: string) => (key === 'name' ? '(?<name>.+)' : `(?<${key}>[^/]+)`))
    .replace(/\/$/, '/?');
  return new RegExp(`^${source}$`);
}

const compiled = routes.map((route) => ({ route, pattern: compile(route.path) }));

/**
 * Finds the route for a request. The raw path is matched, so an encoded slash is never a separator.
 * @param method as received; HEAD is served by GET
 * @param path raw path below the configured prefix, without query
 * @throws RegistryError NOT_FOUND, UNSUPPORTED (`detail.allow` lists the methods), or what is wrong
 *   with a part: NAME_INVALID, DIGEST_INVALID, TAG_INVALID, BLOB_UPLOAD_UNKNOWN, MANIFEST_UNKNOWN
 */
export function matchRoute(method: string, path: string): RouteMatch {
  const wanted = method === 'HEAD' ? 'GET' : method;
  const allow: string[] = [];
  for (const { route, pattern } of compiled) {
    const match = pattern.exec(path);
    if (match === null || isOther(route, match)) continue;
    if (route.method === wanted) return { route, params: parseParams(match.groups ?? {}, wanted) };
    allow.push(...(route.method === 'GET' ? ['GET', 'HEAD'] : [route.method]));
  }
  if (allow.length === 0) throw new RegistryError('NOT_FOUND');
  throw new RegistryError('UNSUPPORTED', {
    message: `${method} is not supported here; use ${allow.join(', ')}`,
    detail: { allow },
  });
}

/** `…/blobs/uploads` is the collection of sessions, never a blob called "uploads". */
function isOther(route: Route, match: RegExpExecArray): boolean {
  return route.path.endsWith('/blobs/<digest>') && match.groups?.digest === 'uploads';
}

function parseParams(groups: Record<string, string | undefined>, method: string): RouteParams {
  const params: Partial<RouteParams> = {};
  const { name, reference, digest, session } = groups;
  // No valid name needs an escape, and an escaped slash must not become one.
  if (name !== undefined) params.name = parseRepositoryName(name);
  if (reference !== undefined) params.reference = readReference(decode(reference), method);
  if (digest !== undefined) params.digest = parseDigest(decode(digest));
  if (session !== undefined) params.session = parseUploadId(decode(session));
  // A handler is written for its row and asks only for what the row's path names.
  return params as RouteParams;
}

/** To read or delete what cannot exist is to find nothing; to write it is a mistake to be told of. */
function readReference(text: string, method: string): Reference {
  try {
    return parseReference(text);
  } catch (error) {
    if (method === 'PUT' || !(error instanceof RegistryError) || error.code !== 'TAG_INVALID') {
      throw error;
    }
    throw new RegistryError('MANIFEST_UNKNOWN', { message: `manifest unknown: ${error.message}` });
  }
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
