import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { startConfigured } from '../support/configured-stack.ts';
import { writeOciLayout } from '../support/oci-layout.ts';
import { mustRun, run } from '../support/run.ts';
import { prepareSkopeo, type Skopeo } from '../support/skopeo.ts';
import { launcher, type Stack } from '../support/stack.ts';

/** Each: a registry of ours that believes another token server, and how. */
const ways = [
  { service: 'by-bundle', kid: 'rfc7638', x5c: true, source: 'rootcertbundle' },
  { service: 'by-fingerprint', kid: 'libtrust', x5c: false, source: 'rootcertbundle' },
  { service: 'by-file', kid: 'rfc7638', x5c: false, source: 'jwks' },
  { service: 'by-address', kid: 'rfc7638', x5c: false, source: 'address' },
] as const;

describe('a registry whose tokens come from another server', () => {
  let server: Stack;
  let bob: Skopeo;
  let nobody: Skopeo;
  const registries = new Map<string, Stack>();

  before(async () => {
    server = await startConfigured({
      users: { bob: 'a good password' },
      sections: () => ({
        portcullis: {
          token: { services: ways.map(({ service: name, kid, x5c }) => ({ name, kid, x5c })) },
          acl: [
            { match: { account: 'bob', name: 'bob/**' }, actions: ['*'] },
            { match: { name: 'public/**' }, actions: ['pull'] },
          ],
        },
      }),
    });
    const state = join(server.dir, 'portcullis-state');
    const files = { rootcertbundle: join(server.dir, 'bundle'), jwks: join(server.dir, 'jwks') };
    await writeFile(
      files.rootcertbundle,
      await mustRun(launcher, ['keys', 'export', '--state', state]),
    );
    await writeFile(
      files.jwks,
      await mustRun(launcher, ['keys', 'export', '--jwks', '--state', state]),
    );
    for (const { service, source } of ways) {
      const keys =
        source === 'address' ? { jwks: `${server.url}/auth/jwks` } : { [source]: files[source] };
      const token = { realm: `${server.url}/v2/_token`, service, issuer: 'portcullis', ...keys };
      registries.set(service, await startConfigured({ sections: () => ({ auth: { token } }) }));
    }
    bob = await prepareSkopeo({ dir: server.dir, credentials: 'bob:a good password' });
    nobody = await prepareSkopeo({ dir: server.dir });
    await writeOciLayout(join(server.dir, 'layout'), [50_000, 20]);
  });

  after(async () => {
    for (const registry of registries.values()) await registry.remove();
    await server.remove();
  });

  const status = async (url: string, ...args: string[]) =>
    Number(await mustRun('curl', ['-s', '-o', '/dev/null', '-w', '%{http_code}', ...args, url]));

  for (const { service, source } of ways) {
    test(`${service}: a real client logs in there and pushes here (${source})`, async () => {
      const registry = registries.get(service);
      assert.ok(registry);
      const host = `127.0.0.1:${registry.port}`;
      const challenge = await mustRun('curl', ['-si', `${registry.url}/v2/`]);
      assert.match(challenge, new RegExp(`realm="${server.url}/v2/_token",service="${service}"`));
      const image = `docker://${host}/bob/app:v1`;
      const layout = `oci:${join(server.dir, 'layout')}:v1`;
      const pushed = await bob.copy(layout, image);
      assert.equal(pushed.code, 0, pushed.stderr);
      assert.notEqual((await bob.copy(layout, `docker://${host}/eve/app:v1`)).code, 0);
      await assert.rejects(nobody.inspect(image), /unauthorized|authentication required/);
      // The password is for the other server alone.
      assert.equal(await status(`${registry.url}/v2/`, '-u', 'bob:a good password'), 401);
      assert.equal(await status(`${registry.url}/v2/_token`), 404);
    });
  }

  test('the catalog is for whom the other server grants all of it', async () => {
    const registry = registries.get('by-bundle');
    const query = 'service=by-bundle&scope=registry:catalog:*';
    const answer = await mustRun('curl', [
      ...['-sf', '-u', 'bob:a good password', `${server.url}/v2/_token?${query}`],
    ]);
    const { token } = JSON.parse(answer) as { token: string };
    const { stdout } = await run('curl', [
      ...['-s', '-H', `Authorization: Bearer ${token}`, `${registry?.url}/v2/_catalog`],
    ]);
    assert.deepEqual(JSON.parse(stdout), { repositories: [] }, 'bob may list what he may pull');
  });

  test('what makes no sense is one sentence', async () => {
    const config = join(server.dir, 'bad.yml');
    const base = { realm: 'https://x/token', service: 's', issuer: 'i', jwks: '/nowhere/jwks' };
    for (const [change, expected] of [
      [{ jwks: undefined }, /name rootcertbundle or jwks/],
      [{ service: undefined }, /auth\.token\.service is missing/],
      [{ signingalgorithms: ['HS256'] }, /"HS256" is not an algorithm for public keys/],
      [{}, /\/nowhere\/jwks/],
    ] as const) {
      const text = { version: 0.1, storage: 'inmemory', auth: { token: { ...base, ...change } } };
      await writeFile(config, JSON.stringify(text));
      const { code, stderr } = await run(launcher, ['serve', config]);
      assert.equal(code, 1);
      assert.match(stderr, expected);
    }
  });
});
