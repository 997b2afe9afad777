import assert from 'node:assert/strict';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { startConfigured } from '../support/configured-stack.ts';
import { type OriginalRegistry, startOriginalRegistry } from '../support/original-registry.ts';
import { mustRun } from '../support/run.ts';
import { launcher, type Stack } from '../support/stack.ts';

/** Each: a registry of Debian's that knows us by our exported certificates, and how our tokens name their key. */
const registries = [
  { service: 'portcullis', kid: 'rfc7638', x5c: true },
  { service: 'by-chain', kid: 'rfc7638', x5c: true },
  { service: 'by-fingerprint', kid: 'libtrust', x5c: false },
];

describe('the original registry with our tokens', () => {
  let stack: Stack;
  const state = () => join(stack.dir, 'portcullis-state');
  const originals = new Map<string, OriginalRegistry>();

  before(async () => {
    stack = await startConfigured({
      tls: true,
      users: { bob: 'a good password' },
      sections: () => ({
        portcullis: {
          token: {
            services: registries
              .slice(1)
              .map(({ service, ...rest }) => ({ name: service, ...rest })),
          },
          acl: [
            { match: { account: 'bob', service: 'by-*', name: 'bob/**' }, actions: ['*'] },
            { match: { account: 'bob', service: 'portcullis' }, actions: ['*'] },
          ],
        },
      }),
    });
    const bundle = join(stack.dir, 'bundle.pem');
    await writeFile(bundle, await mustRun(launcher, ['keys', 'export', '--state', state()]));
    for (const { service } of registries) {
      const auth = {
        token: {
          realm: `${stack.url}/v2/_token`,
          service,
          issuer: 'portcullis',
          rootcertbundle: bundle,
        },
      };
      const dir = join(stack.dir, `original-${service}`);
      await mkdir(dir);
      originals.set(service, await startOriginalRegistry(dir, join(dir, 'root'), { auth }));
    }
  });

  after(async () => {
    for (const original of originals.values()) await original.stop();
    await stack.remove();
  });

  const request = async (service: string, method: string, path: string, token?: string) => {
    const header = token === undefined ? [] : ['-H', `Authorization: Bearer ${token}`];
    const url = `http://${originals.get(service)?.registry}/v2/${path}`;
    const args = ['-s', '-o', '/dev/null', '-w', '%{http_code}', '-X', method, ...header, url];
    return Number(await mustRun('curl', args));
  };

  async function tokenFor(service: string, scope: string): Promise<string> {
    const query = new URLSearchParams({ service, scope });
    const url = `${stack.url}/v2/_token?${query}`;
    const answer = await mustRun('curl', [
      ...['-sf', '--cacert', join(stack.dir, 'certs/ca.crt'), '-u', 'bob:a good password', url],
    ]);
    return (JSON.parse(answer) as { token: string }).token;
  }

  for (const { service, kid, x5c } of registries) {
    test(`${service}: accepts a token with ${kid}${x5c ? ' and a chain' : ''}, and no less`, async () => {
      assert.equal(await request(service, 'GET', ''), 401);
      assert.equal(await request(service, 'GET', '', await tokenFor(service, '')), 200);
      const push = await tokenFor(service, 'repository:bob/app:pull,push');
      assert.equal(await request(service, 'POST', 'bob/app/blobs/uploads/', push), 202);
      assert.equal(await request(service, 'POST', 'eve/app/blobs/uploads/', push), 401);
      const pull = await tokenFor(service, 'repository:bob/app:pull');
      assert.equal(await request(service, 'POST', 'bob/app/blobs/uploads/', pull), 401);
      const forged = `${push.slice(0, -6)}AAAAAA`;
      assert.equal(await request(service, 'POST', 'bob/app/blobs/uploads/', forged), 401);
    });
  }

  test('a token for one is nothing to another', async () => {
    const token = await tokenFor('by-chain', 'repository:bob/app:pull,push');
    assert.equal(await request('by-fingerprint', 'POST', 'bob/app/blobs/uploads/', token), 401);
    assert.equal(await request('portcullis', 'GET', '', token), 401);
  });

  test('who trusts the authority needs no new bundle when keys rotate', async () => {
    const scope = 'repository:bob/app:pull,push';
    const kidOf = (token: string) =>
      (
        JSON.parse(Buffer.from(token.split('.')[0] ?? '', 'base64url').toString()) as {
          kid: string;
        }
      ).kid;
    const before = await tokenFor('by-chain', scope);
    await mustRun(launcher, ['keys', 'rotate', '--grace', '1s', '--state', state()]);
    const deadline = Date.now() + 20_000;
    let token = before;
    while (kidOf(token) === kidOf(before)) {
      assert.ok(Date.now() < deadline, 'another key signs by now');
      await sleep(200);
      token = await tokenFor('by-chain', scope);
    }
    assert.equal(await request('by-chain', 'POST', 'bob/app/blobs/uploads/', token), 202);
    assert.equal(await request('by-chain', 'POST', 'bob/app/blobs/uploads/', before), 202);
  });
});
