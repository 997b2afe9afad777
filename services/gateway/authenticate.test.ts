import assert from 'node:assert/strict';
import { afterEach, before, beforeEach, describe, test } from 'node:test';
import { digestOf } from '#libs/oci/digest.ts';
import { createUploadId } from '#libs/oci/upload-id.ts';
import { type Gateway, startGateway } from '../../test/support/gateway.ts';
import { answer } from '../../test/support/scripted-peer.ts';
import {
  createTokenServer,
  may,
  type TokenServer,
  type TokenSpec,
} from '../../test/support/tokens.ts';

const basic = { Authorization: `Basic ${Buffer.from('alice:secret').toString('base64')}` };
const manifest = '/v2/alice/app/manifests/v1';
const session = `/v2/alice/app/blobs/uploads/${createUploadId()}`;

describe('authentication at the edge', () => {
  let tokens: TokenServer;
  let gateway: Gateway;

  before(async () => {
    tokens = await createTokenServer();
  });

  beforeEach(async () => {
    gateway = await startGateway({ verifier: tokens.verifier });
  });

  afterEach(async () => {
    await gateway.close();
  });

  const challenge = (headers: NodeJS.Dict<string | string[]>) =>
    String(headers['www-authenticate']);
  const grant = async (spec: TokenSpec) =>
    answer(200, JSON.stringify({ token: await tokens.issue(spec) }));
  const nobodySawIt = () => {
    assert.equal(gateway.core.requests.length, 0);
  };

  test('who comes to the base without credentials is challenged, and nobody is asked', async () => {
    const { status, headers } = await gateway.send('GET', '/v2/');
    assert.equal(status, 401);
    assert.match(
      challenge(headers),
      /^Bearer realm="http:[^"]+\/v2\/_token",service="registry\.test"$/,
    );
    assert.equal(gateway.auth.requests.length, 0);
    nobodySawIt();
  });

  test('a person’s browser is asked for the password', async () => {
    const { status, headers } = await gateway.send('GET', '/v2/', {
      headers: { 'Sec-Fetch-Mode': 'navigate' },
    });
    assert.equal(status, 401);
    assert.match(challenge(headers), /^Basic realm="Test"/);
    assert.equal(headers.vary, 'Sec-Fetch-Mode, Upgrade-Insecure-Requests');
  });

  test('a token that is enough goes on as it is', async () => {
    const headers = await tokens.bearer({ access: [may('alice/app', 'pull')] });
    assert.equal((await gateway.send('GET', manifest, { headers })).status, 200);
    assert.equal(gateway.core.requests[0]?.headers.authorization, headers.Authorization);
    assert.equal(gateway.auth.requests.length, 0);
  });

  const refusals: readonly [what: string, spec: TokenSpec, error: string][] = [
    ['that grants nothing', { access: [] }, 'insufficient_scope'],
    ['for another repository', { access: [may('alice/other', 'pull')] }, 'insufficient_scope'],
    ['that died of age', { access: [may('alice/app', 'pull')], expiresIn: -60 }, 'invalid_token'],
    ['for another service', { audience: 'another.test' }, 'invalid_token'],
  ];
  for (const [what, spec, error] of refusals) {
    test(`a token ${what} is challenged with ${error}`, async () => {
      const headers = await tokens.bearer(spec);
      const refused = await gateway.send('GET', manifest, { headers });
      assert.deepEqual([refused.status, ...refused.codes], [401, 'UNAUTHORIZED']);
      assert.ok(challenge(refused.headers).includes(`error="${error}"`));
      assert.ok(challenge(refused.headers).includes('scope="repository:alice/app:pull"'));
      nobodySawIt();
    });
  }

  test('a token that died of age goes on on the address of an upload only', async () => {
    const headers = await tokens.bearer({
      access: [may('alice/app', 'pull', 'push')],
      expiresIn: -60,
    });
    assert.equal((await gateway.send('PATCH', session, { headers, body: 'x' })).status, 200);
    const start = await gateway.send('POST', '/v2/alice/app/blobs/uploads/', { headers });
    assert.equal(start.status, 401);
    assert.equal(gateway.core.requests.length, 1);
  });

  test('a revoked token goes on nowhere', async () => {
    const headers = await tokens.bearer({
      subject: 'gone',
      access: [may('alice/app', 'pull', 'push')],
    });
    tokens.revoke('gone');
    assert.equal((await gateway.send('GET', manifest, { headers })).status, 401);
    assert.equal((await gateway.send('PATCH', session, { headers, body: 'x' })).status, 401);
    nobodySawIt();
  });

  for (const value of [
    'Bearer',
    'Bearer a b',
    'Digest x',
    'Basic !!',
    `Basic ${btoa('nocolon')}`,
    'Bearer x.y.z',
  ]) {
    test(`${JSON.stringify(value)} is refused and never asked about`, async () => {
      const { status, codes } = await gateway.send('GET', manifest, {
        headers: { Authorization: value },
      });
      assert.deepEqual([status, ...codes], [401, 'UNAUTHORIZED']);
      assert.equal(gateway.auth.requests.length, 0);
      nobodySawIt();
    });
  }

  test('Basic is exchanged for a token that the core sees instead', async () => {
    gateway.auth.next(await grant({ subject: 'alice', access: [may('alice/app', 'pull')] }));
    assert.equal((await gateway.send('GET', manifest, { headers: basic })).status, 200);
    const [asked] = gateway.auth.requests;
    assert.equal(asked?.headers.authorization, basic.Authorization);
    assert.equal(
      new URLSearchParams(asked?.url.split('?')[1]).get('scope'),
      'repository:alice/app:pull',
    );
    assert.match(gateway.core.requests[0]?.headers.authorization ?? '', /^Bearer /);
  });

  test('Basic that is right and not enough is 403, and says whose', async () => {
    gateway.auth.next(await grant({ subject: 'alice' }));
    const refused = await gateway.send('GET', manifest, { headers: basic });
    assert.deepEqual([refused.status, ...refused.codes], [403, 'DENIED']);
    assert.match(refused.text, /alice is not allowed repository:alice\/app:pull/);
    nobodySawIt();
  });

  test('a page of another site changes nothing with a remembered password', async () => {
    for (const site of ['cross-site', 'same-site']) {
      const headers = { ...basic, 'Sec-Fetch-Site': site };
      const refused = await gateway.send('DELETE', manifest, { headers });
      assert.deepEqual([refused.status, ...refused.codes], [403, 'DENIED']);
    }
    assert.equal(gateway.auth.requests.length, 0);
    nobodySawIt();
  });

  const digest = digestOf(Buffer.from('x'));
  const mounts: readonly [query: string, scopes: string[]][] = [
    [
      `?mount=${digest}&from=alice/source`,
      ['repository:alice/app:pull,push', 'repository:alice/source:pull'],
    ],
    [`?mount=${digest}`, ['repository:alice/app:pull,push']],
    [`?mount=nothing&from=alice/source`, ['repository:alice/app:pull,push']],
    [`?mount=${digest}&from=../etc`, ['repository:alice/app:pull,push']],
    [`?from=alice/source`, ['repository:alice/app:pull,push']],
  ];
  for (const [query, scopes] of mounts) {
    test(`for Basic with ${query.slice(0, 30)}… both scopes of a mount are asked for, and no others`, async () => {
      gateway.auth.next(
        await grant({ subject: 'alice', access: [may('alice/app', 'pull', 'push')] }),
      );
      const path = `/v2/alice/app/blobs/uploads/${query}`;
      assert.equal((await gateway.send('POST', path, { headers: basic })).status, 200);
      const asked = new URLSearchParams(gateway.auth.requests[0]?.url.split('?')[1]);
      assert.deepEqual(asked.getAll('scope'), scopes);
      // Which of them were granted, the token says; the core looks.
      assert.equal(gateway.core.requests[0]?.url, path);
    });
  }

  test('a 401 of the core gets the challenge of the edge', async () => {
    gateway.core.next(answer(401, '{"errors":[{"code":"UNAUTHORIZED"}]}'));
    const headers = await tokens.bearer({ access: [may('alice/app', 'pull')] });
    const refused = await gateway.send('GET', manifest, { headers });
    assert.equal(refused.status, 401);
    assert.ok(challenge(refused.headers).includes('error="invalid_token"'));
  });
});

describe('authentication with the tokens of another server', () => {
  test('Basic is not taken, and its password goes nowhere', async () => {
    const { verifier } = await createTokenServer();
    const gateway = await startGateway({ verifier, externalIssuer: true });
    try {
      for (const headers of [basic, {}]) {
        const { status, headers: answer } = await gateway.send('GET', manifest, { headers });
        assert.equal(status, 401);
        assert.match(String(answer['www-authenticate']), /^Bearer /);
      }
      assert.equal(gateway.auth.requests.length + gateway.core.requests.length, 0);
    } finally {
      await gateway.close();
    }
  });
});
