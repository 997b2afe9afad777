import assert from 'node:assert/strict';
import { readFile, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { startConfigured } from '../support/configured-stack.ts';
import { makeImage } from '../support/images.ts';
import { RegistryClient } from '../support/registry-client.ts';
import type { Stack } from '../support/stack.ts';
import { waitFor } from '../support/wait-for.ts';

type Line = Record<string, unknown>;

describe('the audit log', () => {
  let stack: Stack;
  let client: RegistryClient;
  const path = () => join(stack.dir, 'audit.log');
  const credentials = 'bob:a good password';

  before(async () => {
    stack = await startConfigured({
      tls: true,
      users: { bob: 'a good password' },
      sections: (dir) => ({ portcullis: { audit: join(dir, 'audit.log') } }),
    });
    const ca = join(stack.dir, 'certs/ca.crt');
    client = await RegistryClient.create({ url: stack.url, ca, credentials });
  });

  after(async () => {
    client.close();
    await stack.remove();
  });

  async function lines(file = path()): Promise<Line[]> {
    const text = await readFile(file, 'utf8').catch(() => '');
    return text
      .split('\n')
      .filter(Boolean)
      .map((line) => JSON.parse(line) as Line);
  }
  /** What one event says, without what is the same in all. */
  const eventsOf = async (event: string) =>
    (await lines())
      .filter((line) => line.event === event)
      .map(({ time, process, requestId, client: from, event: _, ...rest }) => {
        assert.ok(!Number.isNaN(Date.parse(String(time))) && process === 'core');
        assert.ok(typeof requestId === 'string' && String(from).includes('127.0.0.1'));
        return rest;
      });

  test('tells of each request for a token, also of those that were asked for together', async () => {
    const before = await lines();
    const authorization = `Basic ${Buffer.from(credentials).toString('base64')}`;
    const url = '/v2/_token?service=portcullis&scope=repository:team/app:pull';
    const ids = Array.from({ length: 40 }, (_, index) => `token-${index}`);
    const answers = await Promise.all(
      ids.map(() => client.ask('GET', url, { headers: { authorization } })),
    );
    const tokens = new Set(answers.map(({ body }) => (JSON.parse(String(body)) as Line).token));
    assert.ok(tokens.size < ids.length, `${tokens.size} tokens`);
    const given = new Set(answers.map(({ headers }) => headers['x-request-id']));
    for (const event of ['login', 'token']) {
      const told = await waitFor(`a ${event} line of each`, async () => {
        const found = (await lines()).slice(before.length).filter((line) => line.event === event);
        return found.length >= ids.length ? found : undefined;
      });
      assert.deepEqual(new Set(told.map(({ requestId }) => requestId)), given);
      assert.equal(told.length, ids.length);
      for (const line of told) assert.deepEqual([line.process, line.subject], ['auth', 'bob']);
    }
  });

  test('tells of pushes, of tags and where they pointed, of mounts and of deletes', async () => {
    const [one, two] = [makeImage('oci'), makeImage('oci')];
    for (const image of [one, two]) await client.push('team/app', 'v1', image);
    const [blob] = one.blobs;
    assert.ok(blob);
    const { digest } = blob.descriptor;
    await client.ask('POST', `/v2/team/copy/blobs/uploads/?mount=${digest}&from=team/app`);
    await client.ask('DELETE', '/v2/team/app/manifests/v1');
    await client.ask('DELETE', `/v2/team/copy/blobs/${digest}`);
    // Written behind the answers.
    await waitFor(
      'the last line',
      async () =>
        (await readFile(path(), 'utf8').catch(() => '')).trim().endsWith('}') &&
        (await eventsOf('delete')).length === 2,
    );
    const who = { subject: 'bob', repository: 'team/app' };
    const [first, second] = [one.descriptor.digest, two.descriptor.digest];
    assert.deepEqual(await eventsOf('push'), [
      { ...who, digest: first },
      { ...who, digest: second },
    ]);
    assert.deepEqual(await eventsOf('tag'), [
      { ...who, tag: 'v1', to: first },
      { ...who, tag: 'v1', from: first, to: second },
    ]);
    const copy = { subject: 'bob', repository: 'team/copy' };
    assert.deepEqual(await eventsOf('mount'), [{ ...copy, digest, from: 'team/app' }]);
    assert.deepEqual(await eventsOf('delete'), [
      { ...who, manifest: 'v1' },
      { ...copy, blob: digest },
    ]);
  });

  test('goes on in a new file after the old one was moved away', async () => {
    const old = `${path()}.1`;
    await rename(path(), old);
    const before = (await lines(old)).length;
    stack.child.kill('SIGHUP');
    await waitFor('the new file', async () => {
      await client.ask('GET', '/v2/');
      return (await lines()).length > 0;
    });
    assert.ok((await lines(old)).length >= before);
  });

  test('tells of right tokens elsewhere, of forged ones and of what is limited, and how often', async () => {
    const before = (await lines()).length;
    const given = await client.ask('GET', '/v2/_token?scope=repository:team/app:pull');
    const { token } = JSON.parse(String(given.body)) as { token: string };
    const ask = async (authorization: string, path = '/v2/team/other/tags/list') => {
      const { status } = await client.ask('GET', path, { headers: { authorization } });
      return status;
    };
    assert.equal(await ask(`Bearer ${token}`), 401);
    const forged = `${token.slice(0, -20)}${'A'.repeat(20)}`;
    for (let n = 0; n < 40; n += 1) assert.equal(await ask(`Bearer ${forged}`), 401);
    const basic = (password: string) =>
      `Basic ${Buffer.from(`bob:${password}`).toString('base64')}`;
    let limited = 0;
    for (let n = 0; n < 40; n += 1) limited += Number((await ask(basic(`no ${n}`))) === 429);
    assert.equal(limited, 30);
    await waitFor('the lines', async () =>
      (await lines()).some(({ event }) => event === 'limited'),
    );
    const after = (await lines()).slice(before);
    const denied = after.filter(({ event }) => event === 'denied');
    assert.deepEqual(
      denied.map(({ process, subject, scope }) => [process, subject, scope]),
      [['gateway', 'bob', 'repository:team/other:pull']],
    );
    assert.equal(after.filter(({ event }) => event === 'forged').length, 10, 'the others later');
    assert.equal(after.filter(({ event }) => event === 'limited').length, 10);
    assert.ok(after.every((line) => !JSON.stringify(line).includes(token)));
  });

  test('requests without a login, and with many scopes, cost a bounded number of bounded lines', async () => {
    const nobody = await RegistryClient.create({
      url: stack.url,
      ca: join(stack.dir, 'certs/ca.crt'),
    });
    try {
      const before = (await lines()).length;
      const scopes = Array.from(
        { length: 10 },
        (_, n) => `scope=repository:${'a'.repeat(200)}/${n}:pull,push,delete`,
      );
      for (let n = 0; n < 25; n += 1) {
        assert.equal((await nobody.ask('GET', `/v2/_token?${scopes.join('&')}`)).status, 200);
      }
      const after = (await lines()).slice(before);
      assert.equal(after.length, 10);
      for (const line of after) assert.ok(JSON.stringify(line).length < 2500);
    } finally {
      nobody.close();
    }
  });
});
