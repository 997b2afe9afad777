import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { RegistryError } from '#libs/oci/errors.ts';
import { matchRoute } from './match-route.ts';
import { routes } from './routes.ts';

const digest = `sha256:${'a'.repeat(64)}`;
const session = '0f0e0d0c-0b0a-4908-8706-050403020100';
const values: Record<string, string> = { name: 'team/app', reference: 'v1', digest, session };
const example = (path: string) => path.replace(/<(\w+)>/g, (_, key: string) => values[key] ?? '');

for (const { id, method, path } of routes) {
  test(`${method} ${path} is ${id}`, () => {
    const { route, params } = matchRoute(method, example(path));
    assert.equal(route.id, id);
    for (const [, key = ''] of path.matchAll(/<(\w+)>/g)) assert.ok(key in params, key);
    if (method === 'GET') assert.equal(matchRoute('HEAD', example(path)).route.id, id);
  });
}

test('every row says what it needs, once for each method and path', () => {
  const seen = routes.map(({ method, path }) => `${method} ${path}`);
  assert.equal(new Set(seen).size, routes.length);
  for (const { needs, path } of routes) {
    assert.equal(Array.isArray(needs), path.includes('<name>'));
    if (Array.isArray(needs)) assert.notEqual(needs.length, 0);
  }
});

test('whatever changes something needs push or delete, and reading needs no more than pull', () => {
  for (const { id, method, needs } of routes) {
    if (!Array.isArray(needs)) continue;
    if (method !== 'GET') assert.ok(needs.includes('push') || needs.includes('delete'), id);
    else if (id !== 'uploadStatus') assert.deepEqual(needs, ['pull']);
  }
});

test('a name may hold the words of the paths; the last ones count', () => {
  const nameOf = (path: string) => matchRoute('GET', path).params.name;
  assert.equal(nameOf('/v2/a/manifests/b/manifests/v1'), 'a/manifests/b');
  assert.equal(nameOf('/v2/tags/list/tags/list'), 'tags/list');
  assert.equal(nameOf(`/v2/blobs/blobs/${digest}`), 'blobs');
  assert.equal(nameOf(`/v2/a/blobs/uploads/b/blobs/${digest}`), 'a/blobs/uploads/b');
});

test('the base and the uploads are found with and without a slash at the end', () => {
  assert.equal(matchRoute('GET', '/v2').route.id, 'base');
  assert.equal(matchRoute('POST', '/v2/a/blobs/uploads').route.id, 'startUpload');
});

test('a digest may come with its colon escaped', () => {
  const { params } = matchRoute('GET', `/v2/a/blobs/${digest.replace(':', '%3A')}`);
  assert.equal(params.digest, digest);
});

const refused: readonly [method: string, path: string, code: string][] = [
  ['GET', '/v2/Team/tags/list', 'NAME_INVALID'],
  ['GET', '/v2/../tags/list', 'NAME_INVALID'],
  ['GET', '/v2/a/../b/tags/list', 'NAME_INVALID'],
  ['GET', '/v2/a%2Fb/tags/list', 'NAME_INVALID'],
  ['GET', '/v2/a//tags/list', 'NAME_INVALID'],
  ['GET', '/v2//tags/list', 'NOT_FOUND'],
  ['GET', '/v2/a%00/tags/list', 'NAME_INVALID'],
  ['GET', `/v2/${'a'.repeat(300)}/tags/list`, 'NAME_INVALID'],
  ['GET', '/v2/a/blobs/latest', 'DIGEST_INVALID'],
  ['GET', '/v2/a/manifests/sha256:x', 'DIGEST_INVALID'],
  ['GET', '/v2/a/manifests/.x', 'MANIFEST_UNKNOWN'],
  ['DELETE', '/v2/a/manifests/.x', 'MANIFEST_UNKNOWN'],
  ['PUT', '/v2/a/manifests/.x', 'TAG_INVALID'],
  ['PUT', '/v2/a/manifests/v%2F1', 'TAG_INVALID'],
  ['PATCH', '/v2/a/blobs/uploads/..', 'BLOB_UPLOAD_UNKNOWN'],
  ['GET', '/v2/a/blobs/uploads', 'UNSUPPORTED'],
  ['POST', '/v2/', 'UNSUPPORTED'],
  ['GET', '/v1/', 'NOT_FOUND'],
  ['GET', '/v2/a/nothing', 'NOT_FOUND'],
  ['GET', '/v2/a/manifests/', 'NOT_FOUND'],
];
for (const [method, path, code] of refused) {
  test(`${method} ${path.slice(0, 40)} is ${code}`, () => {
    assert.throws(() => matchRoute(method, path), { code });
  });
}

test('a method that the path does not take is told which ones it takes', () => {
  assert.throws(() => matchRoute('POST', '/v2/a/tags/list'), {
    detail: { allow: ['GET', 'HEAD'] },
  });
});

test('no path ends in anything but a route or an error of the table', () => {
  const piece = fc.constantFrom(
    'v2',
    'a',
    'B',
    '..',
    'blobs',
    'uploads',
    'manifests',
    'tags',
    'list',
    '_catalog',
    '%2F',
    '%',
    digest,
    '',
  );
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 8 }), (pieces) => {
      try {
        const { params } = matchRoute('GET', `/${pieces.join('/')}`);
        if (params.name !== undefined) assert.match(params.name, /^[a-z0-9/_-]+$/);
      } catch (error) {
        assert.ok(error instanceof RegistryError, String(error));
      }
    }),
    { numRuns: 2000 },
  );
});
