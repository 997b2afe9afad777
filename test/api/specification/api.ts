import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { routes } from '#libs/api/routes.ts';
import { renderError } from '#libs/http/render-error.ts';
import { digestOf } from '#libs/oci/digest.ts';
import { type ErrorCode, errorCodes, RegistryError } from '#libs/oci/errors.ts';
import type { Received } from '../../support/core.ts';
import { makeImage, mediaTypes } from '../../support/images.ts';
import { createTokenServer } from '../../support/tokens.ts';
import { kinds } from './data-sets.ts';
import { expectStatus, type RepositoryFixture } from './repository-fixture.ts';
import { may, must, once, type Requirement, should } from './requirement.ts';

const support = 'Determining Support';
const endpoints = 'Endpoints';
const errors = 'Error Codes';
const absent = digestOf(Buffer.from('nobody pushed this'));

/** The codes of the specification, each with a request that meets it; none where the core has none. */
const provoke: Readonly<
  Record<string, ((fixture: RepositoryFixture) => Promise<Received>) | undefined>
> = {
  BLOB_UNKNOWN: ({ send }) => send('GET', `blobs/${absent}`),
  async BLOB_UPLOAD_INVALID(fixture) {
    const headers = { 'Content-Range': 'nonsense' };
    return await fixture.send('PATCH', await fixture.open(), { body: 'x', headers });
  },
  BLOB_UPLOAD_UNKNOWN: ({ send }) => send('GET', `blobs/uploads/${randomUUID()}`),
  DIGEST_INVALID: ({ send }) => send('POST', `blobs/uploads/?digest=${absent}`, { body: 'x' }),
  MANIFEST_BLOB_UNKNOWN: ({ send }) =>
    send('PUT', 'manifests/v1', {
      body: makeImage().bytes,
      headers: { 'Content-Type': mediaTypes.ociManifest },
    }),
  MANIFEST_INVALID: ({ send }) => send('PUT', 'manifests/v1', { body: '{' }),
  MANIFEST_UNKNOWN: ({ send }) => send('GET', 'manifests/v1'),
  NAME_INVALID: ({ send }) => send('GET', '/v2/NOT/manifests/v1'),
  NAME_UNKNOWN: ({ send }) => send('GET', 'tags/list'),
  async SIZE_INVALID(fixture) {
    const headers = { 'Content-Range': '0-9' };
    return await fixture.send('PATCH', await fixture.open(), { body: 'x', headers });
  },
  async UNAUTHORIZED(fixture) {
    const { verifier } = await createTokenServer();
    return await (await fixture.servedBy({ verifier })).send('GET', 'manifests/v1');
  },
  DENIED: undefined,
  UNSUPPORTED: ({ send }) => send('POST', 'manifests/v1'),
  TOOMANYREQUESTS: undefined,
};

/** Codes of older registries that the specification lets stand ("Legacy Docker support error codes"). */
const legacy = ['TAG_INVALID', 'MANIFEST_UNVERIFIED'];

/** What the list has no code for: the original registry's where it has one, else our own. */
const unlisted = [
  'RANGE_INVALID',
  'PAGINATION_NUMBER_INVALID',
  'CONTENT_TOO_LARGE',
  'PRECONDITION_FAILED',
  'REQUEST_INVALID',
  'REQUEST_TIMEOUT',
  'NOT_FOUND',
];

const named = (names: readonly string[]) => names.map((name) => ({ name }));
const clientErrors = Object.entries(errorCodes)
  .filter(([, { status }]) => status < 500)
  .map(([code]) => code);

/** Asserts the one form that an error in JSON may have. */
function expectErrorShape(text: string): void {
  const { errors, ...more } = JSON.parse(text) as { errors: Record<string, unknown>[] };
  assert.deepEqual(more, {});
  assert.ok(errors.length > 0);
  for (const { code, message, detail, ...rest } of errors) {
    assert.match(String(code), /^[A-Z_]+$/);
    assert.equal(typeof message, 'string');
    assert.ok(detail === undefined || JSON.stringify(detail) !== undefined);
    assert.deepEqual(rest, {});
  }
}

export const api: readonly Requirement[] = [
  must(support, 'GET /v2/ is 200', once, async (fixture) => {
    expectStatus(await fixture.send('GET', '/v2/'), 200);
  }),

  must(
    endpoints,
    'there is a route for each endpoint',
    Array.from({ length: 14 }, (_, index) => ({ name: `end-${index + 1}` })),
    async (_, { name }) => {
      // end-11, the mount, is the POST of end-4 with other parameters.
      const wanted = name === 'end-11' ? 'end-4' : name;
      assert.ok(routes.some(({ spec }) => spec === wanted));
    },
  ),

  should(
    'API',
    'a method that a resource does not have is 405 with those it has (RFC 9110)',
    named([
      '/v2/',
      'manifests/v1',
      `blobs/${absent}`,
      'blobs/uploads/',
      'tags/list',
      `referrers/${absent}`,
    ]),
    async (fixture, { name }) => {
      const answer = await fixture.send('OPTIONS', name);
      expectStatus(answer, 405, 'UNSUPPORTED');
      assert.match(String(answer.headers.allow), /^[A-Z]+(, [A-Z]+)*$/);
    },
  ),

  may(
    'Registry Proxying',
    'the host that a proxy is told about changes nothing',
    kinds,
    async ({ holding }, object) => {
      const fixture = await holding(object);
      const answer = await fixture.send('GET', 'manifests/v1?ns=registry.example');
      expectStatus(answer, 200);
      assert.ok(answer.body.equals(object.root.bytes));
    },
  ),

  must(
    errors,
    'a refusal has the code of its reason, in the one form',
    named(Object.keys(provoke).filter((code) => provoke[code] !== undefined)),
    async (fixture, { name }) => {
      const answer = await provoke[name]?.(fixture);
      assert.ok(answer);
      assert.ok(answer.status >= 400 && answer.status < 500);
      assert.deepEqual(answer.codes, [name]);
      assert.equal(answer.headers['content-type'], 'application/json');
      expectErrorShape(answer.text);
    },
  ),

  must(
    errors,
    'every code is rendered in the one form',
    named(Object.keys(errorCodes)),
    async (_, { name }) => {
      for (const detail of [undefined, null, 'text', { deep: [1] }]) {
        expectErrorShape(renderError(new RegistryError(name as ErrorCode, { detail })).body);
      }
    },
  ),

  must(
    errors,
    'every code of the list is known',
    named(Object.keys(provoke)),
    async (_, { name }) => {
      assert.ok(Object.hasOwn(errorCodes, name));
    },
  ),

  must(
    errors,
    'a client’s error has a code of the list; the list has none for some (docs/adr/0005)',
    named(clientErrors),
    async (_, { name }) => {
      assert.ok([...Object.keys(provoke), ...legacy, ...unlisted].includes(name), name);
    },
  ),

  should(errors, '429 says when to come back', once, async () => {
    const error = new RegistryError('TOOMANYREQUESTS', { retryAfter: 5 });
    const { status, headers } = renderError(error);
    assert.deepEqual([status, headers['Retry-After']], [429, '5']);
  }),

  should('API', 'HEAD of a refusal has no body', once, async (fixture) => {
    for (const path of ['manifests/v1', 'tags/list/more', `blobs/${absent}`]) {
      const answer = await fixture.send('HEAD', path);
      assert.deepEqual([answer.status, answer.body.length], [404, 0]);
    }
  }),
];
