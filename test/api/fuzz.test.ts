import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import fc from 'fast-check';
import { covers, formatScope, parseScopes } from '#libs/access/scope.ts';
import { digestOf } from '#libs/oci/digest.ts';
import { errorCodes } from '#libs/oci/errors.ts';
import { createMemoryDriver } from '../../services/core/storage/memory.ts';
import { headerText, pathText } from '../support/arbitrary-text.ts';
import {
  type Core,
  pushBlob,
  pushManifest,
  type Received,
  type Sent,
  startCore,
} from '../support/core.ts';
import { describeBytes, describeJson, makeIndex, mediaTypes } from '../support/images.ts';
import { mutationsOf } from '../support/mutations.ts';
import { createTokenServer } from '../support/tokens.ts';

// Made of fixed bytes, so that the seed of a failure gives the same case again.
const config = describeBytes(Buffer.from('{"a":"config"}'), mediaTypes.ociConfig);
const layer = describeBytes(Buffer.from('0123456789'.repeat(10)), mediaTypes.ociLayer);
const image = {
  schemaVersion: 2,
  mediaType: mediaTypes.ociManifest,
  config: config.descriptor,
  layers: [layer.descriptor],
};
const pushed = describeJson(mediaTypes.ociManifest, image);
const subject = pushed.descriptor;
const artifact = { ...image, artifactType: 'text/x-fuzz', subject, annotations: { by: 'alice' } };
const index = { ...(JSON.parse(makeIndex([pushed]).bytes.toString()) as object), subject };
const docker = { ...image, mediaType: mediaTypes.dockerManifest };

const name = 'fuzz/app';
const at = (path: string) => `/v2/${name}/${path}`;
const manifestTypes = [mediaTypes.ociManifest, mediaTypes.ociIndex, mediaTypes.dockerManifest];

/** Never our fault, and a refusal says why in the one form. */
function assertOrderly({ status, headers, text }: Received, method: string): void {
  assert.ok(status >= 200 && status < 500, `${status} ${text}`);
  if (status < 400 || method === 'HEAD') return;
  assert.equal(headers['content-type'], 'application/json');
  const { errors } = JSON.parse(text) as { errors: { code: string; message: string }[] };
  assert.equal(errors.length, 1);
  for (const { code, message } of errors) {
    assert.ok(Object.hasOwn(errorCodes, code), code);
    assert.equal(typeof message, 'string');
  }
}

describe('whatever is asked', () => {
  let core: Core;
  let closed: Core;

  before(async () => {
    core = await startCore({ driver: createMemoryDriver() });
    const { verifier } = await createTokenServer();
    closed = await startCore({ driver: createMemoryDriver(), verifier });
    await pushBlob(core, name, config);
    await pushBlob(core, name, layer);
    await pushManifest(core, name, pushed, 'v1');
  });

  after(async () => {
    assert.equal((await core.send('GET', '/v2/')).status, 200);
    const problems = [...core.problems(), ...closed.problems()];
    await core.close();
    await closed.close();
    assert.deepEqual(problems, []);
  });

  async function ask(
    method: string,
    path: string,
    sent: Sent = {},
    from = core,
  ): Promise<Received> {
    const answer = await from.send(method, path, sent);
    assertOrderly(answer, method);
    return answer;
  }

  const present = async (path: string) => (await ask('HEAD', path)).status === 200;
  const referrers = async () => (await ask('GET', at(`referrers/${subject.digest}`))).text;

  /** A manifest is served as it came, and listed if it has the subject; or it was never there. */
  async function assertTakenOrRefused(bytes: Buffer, type: string): Promise<void> {
    const digest = digestOf(bytes);
    const byTag = at('manifests/fuzz');
    const byDigest = at(`manifests/${digest}`);
    const known = digest === subject.digest;
    try {
      const headers = type === '' ? {} : { 'Content-Type': type };
      const answer = await ask('PUT', byTag, { body: bytes, headers });
      if (answer.status === 201) {
        const served = await ask('GET', byTag);
        assert.deepEqual([served.status, served.body], [200, bytes]);
        const told = answer.headers['oci-subject'] === subject.digest;
        assert.equal((await referrers()).includes(digest), told, 'listed if OCI-Subject says so');
      } else {
        assert.deepEqual([await present(byTag), await present(byDigest)], [false, known]);
      }
    } finally {
      await ask('DELETE', known ? byTag : byDigest);
    }
    assert.deepEqual([await present(byTag), await present(byDigest)], [false, known]);
    assert.deepEqual((JSON.parse(await referrers()) as { manifests: unknown[] }).manifests, []);
  }

  test('a manifest that is nearly one is taken whole or refused without a trace', async () => {
    const contentType = fc.constantFrom(...manifestTypes, '', 'application/json');
    await fc.assert(
      fc.asyncProperty(
        mutationsOf([image, artifact, index, docker]),
        contentType,
        async (bytes, type) => {
          await assertTakenOrRefused(bytes, type);
        },
      ),
      { numRuns: 500 },
    );
  });

  test('an index that neither names its type nor has a list is taken whole or refused', async () => {
    const bytes = Buffer.from(JSON.stringify({ schemaVersion: 2, subject }));
    await assertTakenOrRefused(bytes, mediaTypes.ociIndex);
  });

  test('JSON that is no manifest, and bytes that are no JSON, are refused', async () => {
    const bytes = fc.oneof(
      fc.json({ maxDepth: 4 }).map((text) => Buffer.from(text)),
      fc.uint8Array({ maxLength: 200 }).map((array) => Buffer.from(array)),
    );
    await fc.assert(
      fc.asyncProperty(bytes, fc.constantFrom(...manifestTypes), assertTakenOrRefused),
      { numRuns: 150 },
    );
  });

  for (const [what, body] of [
    ['nothing but opening brackets', '['.repeat(1_000_000)],
    ['a million levels', `${'['.repeat(1_000_000)}${']'.repeat(1_000_000)}`],
    ['a million objects deep', '{"a":'.repeat(600_000)],
    ['a string of nothing but escapes', `{"a":"${'\\n'.repeat(1_900_000)}"}`],
    ['a number without end', `{"schemaVersion":${'9'.repeat(4_000_000)}}`],
    ['many keys', `{${Array.from({ length: 200_000 }, (_, key) => `"${key}":0`).join(',')}}`],
  ] as const) {
    test(`a manifest of ${what} is refused`, async () => {
      const headers = { 'Content-Type': mediaTypes.ociManifest };
      const { status } = await ask('PUT', at('manifests/fuzz'), { body, headers });
      assert.equal(status, 400);
    });
  }

  test('a manifest may hold as many escapes as fit', async () => {
    const { bytes } = describeJson(mediaTypes.ociManifest, {
      ...image,
      annotations: { lines: '\n'.repeat(1_900_000) },
    });
    await assertTakenOrRefused(bytes, mediaTypes.ociManifest);
  });

  for (const [header, paths, known] of [
    ['Range', [at(`blobs/${layer.descriptor.digest}`)], ['bytes=', '0-5', '-5', '50-', '5-3']],
    [
      'If-None-Match',
      [at('manifests/v1'), at(`blobs/${layer.descriptor.digest}`)],
      [`"${layer.descriptor.digest}"`, 'W/'],
    ],
    [
      'Accept',
      [at('manifests/v1'), at(`manifests/${subject.digest}`)],
      [...manifestTypes, '*/*', ';q=0', ';q=1.5'],
    ],
    ['Content-Type', [at('manifests/v1'), at('tags/list')], [...manifestTypes, '; charset=utf-8']],
    [
      'Authorization',
      ['/v2/', at('manifests/v1')],
      ['Bearer ', 'Basic ', 'YWxpY2U6cGFzcw==', 'e30.e30.e30'],
    ],
  ] as const) {
    test(`any ${header} is read or passed over`, async () => {
      await fc.assert(
        fc.asyncProperty(fc.constantFrom(...paths), headerText(...known), async (path, value) => {
          for (const method of ['GET', 'HEAD']) {
            const answer = await ask(method, path, { headers: { [header]: value } });
            const length = Number(answer.headers['content-length'] ?? 0);
            if (method === 'GET' && answer.status < 300) assert.equal(answer.body.length, length);
          }
        }),
        { numRuns: 150 },
      );
    });
  }

  test('no Authorization that is made up opens anything', async () => {
    const value = headerText(
      'Bearer ',
      'bearer ',
      'Basic ',
      'YWxpY2U6cGFzcw==',
      'e30.e30.e30',
      '.',
    );
    await fc.assert(
      fc.asyncProperty(value, async (authorization) => {
        const headers = { Authorization: authorization };
        assert.equal((await ask('GET', '/v2/', { headers }, closed)).status, 401);
      }),
      { numRuns: 200 },
    );
  });

  test('any Content-Type of a manifest is its type or refused', async () => {
    await fc.assert(
      fc.asyncProperty(headerText(...manifestTypes, '; charset=utf-8'), async (type) => {
        await assertTakenOrRefused(Buffer.from(JSON.stringify(artifact)), type);
      }),
      { numRuns: 100 },
    );
  });

  test('a chunk of any Content-Range and length is taken or refused, and the session knows', async () => {
    const range = fc.oneof(
      headerText('bytes ', '0-', '0-9', '/100', '/*'),
      fc.tuple(fc.nat(20), fc.nat(20)).map(([start, end]) => `${start}-${end}`),
    );
    await fc.assert(
      fc.asyncProperty(
        range,
        fc.nat(20),
        fc.boolean(),
        fc.nat(3),
        async (value, size, whole, zeros) => {
          const opened = await ask('POST', at('blobs/uploads/'));
          const location = String(opened.headers.location);
          const bytes = Buffer.alloc(size);
          const length = { 'Content-Length': `${'0'.repeat(zeros)}${size}` };
          const answer = await ask('PATCH', location, {
            body: whole ? bytes : [bytes, Buffer.alloc(0)],
            headers: { 'Content-Range': value, ...(whole ? length : {}) },
          });
          const status = await ask('GET', location);
          assert.equal(status.status, 204);
          if (answer.status === 202) assert.equal(status.headers.range, answer.headers.range);
          if (answer.status === 202)
            assert.equal(status.headers.range, `0-${Math.max(0, size - 1)}`);
          assert.equal((await ask('DELETE', location)).status, 204);
        },
      ),
      { numRuns: 200 },
    );
  });

  test('any path is answered', async () => {
    const digest = layer.descriptor.digest;
    const segment = fc.oneof(
      fc.constantFrom(
        'v2',
        name,
        'blobs',
        'uploads',
        'manifests',
        'tags',
        'list',
        'referrers',
        '_catalog',
      ),
      fc.constantFrom(
        '',
        '.',
        '..',
        'v1',
        digest,
        digest.replace(':', '%3A'),
        'sha256:',
        '__proto__',
      ),
      pathText('a', digest),
    );
    const path = fc.array(segment, { maxLength: 6 }).map((parts) => `/${parts.join('/')}`);
    const method = fc.constantFrom('GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'OPTIONS');
    const prefix = fc.constantFrom('', '/v2', at('').slice(0, -1));
    await fc.assert(
      fc.asyncProperty(method, prefix, path, async (verb, start, rest) => {
        await ask(verb, start + rest);
      }),
      { numRuns: 500 },
    );
  });

  test('any query is answered', async () => {
    const key = fc.oneof(
      fc.constantFrom(
        'n',
        'last',
        'digest',
        'mount',
        'from',
        'tag',
        'digest-algorithm',
        'artifactType',
      ),
      pathText('n'),
    );
    const value = pathText('0', '10', 'v1', name, layer.descriptor.digest, 'sha512', 'text/x-fuzz');
    const query = fc
      .array(fc.tuple(key, value), { maxLength: 5 })
      .map((pairs) => pairs.map((pair) => pair.join('=')).join('&'));
    const request = fc.constantFrom<[string, string]>(
      ['GET', '/v2/_catalog'],
      ['GET', at('tags/list')],
      ['GET', at(`referrers/${subject.digest}`)],
      ['GET', at('manifests/v1')],
      ['POST', at('blobs/uploads/')],
      ['PUT', at(`blobs/uploads/${randomUUID()}`)],
      ['PUT', at(`manifests/${subject.digest}`)],
    );
    await fc.assert(
      fc.asyncProperty(request, query, async ([method, path], text) => {
        const manifest = method === 'PUT' && path.includes('/manifests/');
        const headers = { 'Content-Type': subject.mediaType };
        await ask(method, `${path}?${text}`, manifest ? { body: pushed.bytes, headers } : {});
      }),
      { numRuns: 500 },
    );
  });
});

test('any scope is read or dropped, and what was read can be written and read again', () => {
  const word = fc.constantFrom(
    'repository',
    'registry',
    'catalog',
    'pull',
    'push',
    '*',
    'a/b',
    '(x)',
  );
  const sign = fc.constantFrom(':', ',', ' ', '', '::', '(', ')', '\n', '\u0000', '😀', '\ud800');
  const scope = fc.oneof(
    fc.string({ unit: 'binary', maxLength: 30 }),
    fc.array(fc.oneof(word, sign), { maxLength: 12 }).map((parts) => parts.join('')),
    fc.tuple(word, word, word).map((parts) => parts.join(':')),
  );
  fc.assert(
    fc.property(fc.array(scope, { maxLength: 5 }), (values) => {
      const read = parseScopes(values);
      assert.deepEqual(parseScopes(read.map(formatScope)), read);
      for (const access of read) {
        assert.match(access.type, /^[a-z0-9]+$/);
        assert.notEqual(access.name, '');
        assert.equal(new Set(access.actions).size, access.actions.length);
        assert.ok(covers(read, access));
        assert.equal(covers([], access), access.actions.length === 0);
      }
    }),
    { numRuns: 2000 },
  );
});
