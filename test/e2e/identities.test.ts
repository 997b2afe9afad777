import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { parse, stringify } from 'yaml';
import { startConfigured } from '../support/configured-stack.ts';
import { type OidcIssuer, startOidcIssuer } from '../support/oidc-issuer.ts';
import { mustRun, run } from '../support/run.ts';
import { launcher, type Stack } from '../support/stack.ts';
import { createTokenClient, type TokenClient } from '../support/token-client.ts';
import { waitFor } from '../support/wait-for.ts';

const app = { scope: 'repository:team/app:pull,push,delete' };
const exchange = 'urn:ietf:params:oauth:grant-type:token-exchange';
const idToken = 'urn:ietf:params:oauth:token-type:id_token';

describe('who may log in', () => {
  let stack: Stack;
  let client: TokenClient;
  let issuer: OidcIssuer;
  let config: string;
  const password = 'a good password';

  before(async () => {
    issuer = await startOidcIssuer();
    stack = await startConfigured({
      users: { bob: password, eve: password, ann: password },
      sections: (dir) => ({
        portcullis: {
          audit: join(dir, 'audit.log'),
          // The tests ask often until a change is known.
          auth: { limits: { address: 0, account: 0, login: 0 } },
          workloads: [
            {
              name: 'gitlab',
              issuer: issuer.issuer,
              audience: 'registry',
              claims: { ref_protected: 'true' },
            },
          ],
          acl: [
            { match: { name: 'frozen/**' }, actions: ['push'], effect: 'deny' },
            { match: { account: 'gitlab:**', name: '${claim:project_path}/**' }, actions: ['*'] },
            { match: { labels: { 'kubernetes.io.namespace': 'prod' } }, actions: ['pull'] },
            { match: { account: 'bob' }, actions: ['*'] },
          ],
        },
      }),
    });
    config = join(stack.dir, 'config.yml');
    client = createTokenClient(stack.url);
  });

  after(async () => {
    issuer.close();
    await stack.remove();
  });

  const portcullis = (...args: string[]) => mustRun(launcher, [...args, '--config', config]);
  const makeRobot = async (name: string, ...args: string[]) =>
    (await portcullis('robot', 'create', name, ...args)).trim();
  /** How long until a token is void, in milliseconds. */
  async function timeUntilVoid(token: string): Promise<number> {
    const began = performance.now();
    await waitFor('the token to be void', async () => (await client.use(token)) === 401);
    return performance.now() - began;
  }

  describe('robots', () => {
    test('a robot may do what it was made for, and nothing else', async () => {
      const access = ['--access', 'repository:team/*:pull,push'];
      const secret = await makeRobot('ci', ...access, '--expires', '90d', '--comment', 'builds');
      assert.match(secret, /^prt_[\w-]{43}$/);
      const login = await waitFor('the robot to be known', async () => {
        const answer = await client.get('robot+ci', secret, app);
        return answer.status === 200 && answer;
      });
      assert.equal(login.subject, 'robot+ci');
      assert.deepEqual(login.granted, ['repository:team/app:pull,push']);
      const other = await client.get('robot+ci', secret, { scope: 'repository:other:pull' });
      assert.deepEqual(other.granted, []);
      assert.equal(await client.use(login.token, 'team/app/blobs/uploads/', 'POST'), 202);
      assert.equal((await client.get('robot+ci', `${secret}x`)).status, 401);
      assert.equal((await client.get('ci', secret)).status, 401);
      const file = await readFile(join(stack.dir, 'portcullis-state/robots.yml'), 'utf8');
      assert.ok(!file.includes(secret), 'only its hash is stored');
    });

    test('what rules deny is denied to robots, too', async () => {
      const secret = await makeRobot('cold', '--access', 'repository:**:pull,push');
      const frozen = { scope: 'repository:frozen/app:pull,push' };
      await waitFor(
        'the robot',
        async () => (await client.get('robot+cold', secret)).status === 200,
      );
      const { granted } = await client.get('robot+cold', secret, frozen);
      assert.deepEqual(granted, ['repository:frozen/app:pull']);
    });

    test('a robot that was revoked is out within five seconds, and another secret ends the old one', async () => {
      const secret = await makeRobot('brief', '--access', 'repository:a:pull');
      const get = () => client.get('robot+brief', secret);
      await waitFor('the robot', async () => (await get()).status === 200);
      const { token } = await get();
      await assert.rejects(makeRobot('brief', '--access', 'repository:a:pull'), /already/);
      const next = await makeRobot('brief', '--access', 'repository:a:pull', '--replace');
      assert.ok((await timeUntilVoid(token)) < 5500);
      assert.equal((await get()).status, 401);
      const second = await client.get('robot+brief', next);
      assert.equal(second.status, 200);
      await portcullis('robot', 'revoke', 'brief');
      assert.ok((await timeUntilVoid(second.token)) < 5500);
      assert.equal((await client.get('robot+brief', next)).status, 401);
    });

    test('list tells what each may do and until when; what makes no sense is refused', async () => {
      const list = await portcullis('robot', 'list');
      assert.match(
        list,
        /^robot\+ci +20\S+ +(?:20\S+|never) +repository:team\/\*:pull,push +builds$/m,
      );
      for (const args of [
        ['create', 'Bad Name', '--access', 'repository:a:pull'],
        ['create', 'x', '--access', 'repository:a:fly'],
        ['create', 'x', '--access', 'everything'],
        ['create', 'x'],
        ['create', 'x', '--access', 'repository:a:pull', '--expires', 'soon'],
        ['revoke', 'nobody'],
      ]) {
        const { code, stderr } = await run(launcher, ['robot', ...args, '--config', config]);
        assert.ok(code === 1 || code === 2, args.join(' '));
        assert.doesNotMatch(stderr, /^\s+at /m);
      }
    });

    test('one that may do eighty things logs in, by any way, and sees what it may pull', async () => {
      const names = Array.from({ length: 80 }, (_, n) => `organisation/department/project-${n}/**`);
      const access = names.flatMap((name) => ['--access', `repository:${name}:pull,push`]);
      const secret = await makeRobot('many', ...access);
      const name = 'organisation/department/project-79/app';
      const wanted = { scope: `repository:${name}:pull,push repository:elsewhere:pull` };
      const { status, granted } = await waitFor('the robot', async () => {
        const answer = await client.get('robot+many', secret, wanted);
        return answer.status !== 401 && answer;
      });
      assert.deepEqual([status, granted], [200, [`repository:${name}:pull,push`]]);
      const basic = Buffer.from(`robot+many:${secret}`).toString('base64');
      const headers = { Authorization: `Basic ${basic}` };
      const begun = await fetch(`${stack.url}/v2/${name}/blobs/uploads/`, {
        method: 'POST',
        headers,
      });
      assert.equal(begun.status, 202, await begun.text());
      const catalog = await fetch(`${stack.url}/v2/_catalog`, { headers });
      const { repositories } = (await catalog.json()) as { repositories: string[] };
      assert.equal(catalog.status, 200);
      assert.ok(repositories.every((one) => one.startsWith('organisation/')));
    });

    test('its time ends by itself', async () => {
      const path = join(stack.dir, 'portcullis-state/robots.yml');
      const secret = await makeRobot('old', '--access', 'repository:a:pull');
      await waitFor(
        'the robot',
        async () => (await client.get('robot+old', secret)).status === 200,
      );
      const file = parse(await readFile(path, 'utf8'));
      file.robots.old.expires = new Date(Date.now() - 1000).toISOString();
      await writeFile(path, stringify(file));
      await waitFor('its end', async () => (await client.get('robot+old', secret)).status === 401);
    });
  });

  describe('identity tokens', () => {
    const password_ = (account: string, more: Record<string, string> = {}) =>
      client.post({
        grant_type: 'password',
        username: account,
        password,
        service: 'portcullis',
        ...more,
      });
    const refresh = (refresh_token: string, more: Record<string, string> = {}) =>
      client.post({ grant_type: 'refresh_token', refresh_token, service: 'portcullis', ...more });

    test('POST gives one that is asked for; GET gives none unless the configuration says so', async () => {
      assert.equal((await password_('bob')).refreshToken, undefined);
      assert.equal(
        (await client.get('bob', password, { offline_token: 'true' })).refreshToken,
        undefined,
      );
      const { refreshToken = '' } = await password_('bob', { access_type: 'offline' });
      const { status, subject, granted } = await refresh(refreshToken, app);
      assert.deepEqual([status, subject], [200, 'bob']);
      assert.deepEqual(granted, ['repository:team/app:pull,push,delete']);
    });

    test('it is no token for the registry, and a registry’s token is none of these', async () => {
      const { refreshToken = '', token } = await password_('bob', { access_type: 'offline' });
      assert.equal(await client.use(refreshToken), 401);
      assert.equal((await refresh(token)).status, 401);
      assert.equal((await refresh(`${refreshToken}x`)).status, 401);
      assert.equal((await refresh('')).status, 401);
    });

    test('a changed password, a removed user and `token revoke` end it', async () => {
      const get = async (account: string) =>
        (await password_(account, { access_type: 'offline' })).refreshToken ?? '';
      const [bob, eve, ann] = [await get('bob'), await get('eve'), await get('ann')];
      const file = ['--file', join(stack.dir, 'htpasswd')];
      await mustRun(launcher, ['user', 'passwd', ...file, 'eve'], { input: 'another password' });
      await mustRun(launcher, ['user', 'remove', ...file, 'ann']);
      await portcullis('token', 'revoke', 'bob');
      for (const token of [bob, eve, ann]) {
        await waitFor('it to end', async () => (await refresh(token)).status === 401);
      }
      await sleep(1100);
      const again = await get('bob');
      assert.equal((await refresh(again)).status, 200, 'who was revoked may log in again');
    });
  });

  describe('workloads', () => {
    const claims = {
      sub: 'project_path:team/app',
      project_path: 'team/app',
      ref_protected: 'true',
    };

    test('a CI job’s token is a password, and its claims stand in rules', async () => {
      const job = await issuer.sign(claims);
      const { status, subject, granted } = await client.get('whatever', job, {
        scope: 'repository:team/app/web:pull,push',
      });
      assert.deepEqual([status, subject], [200, 'gitlab:project_path:team/app']);
      assert.deepEqual(granted, ['repository:team/app/web:pull,push']);
      const other = await client.get('x', job, { scope: 'repository:team/apple:pull' });
      assert.deepEqual(other.granted, []);
    });

    test('and it can be exchanged (RFC 8693)', async () => {
      const subject_token = await issuer.sign(claims);
      const form = { grant_type: exchange, subject_token, subject_token_type: idToken };
      const { status, body, granted, token, refreshToken } = await client.post({
        ...form,
        scope: 'repository:team/app/web:push',
        access_type: 'offline',
      });
      assert.equal(status, 200);
      assert.equal(body.issued_token_type, 'urn:ietf:params:oauth:token-type:access_token');
      assert.equal(body.token_type, 'Bearer');
      assert.deepEqual(granted, ['repository:team/app/web:push']);
      assert.equal(refreshToken, undefined, 'what lives for minutes gives nothing that lives on');
      assert.equal(await client.use(token), 200);
      const wrong = await client.post({ ...form, subject_token_type: 'urn:x' });
      assert.deepEqual([wrong.status, wrong.body.error], [400, 'invalid_request']);
    });

    test('the catalog and mounts know its claims', async () => {
      const job = await issuer.sign(claims);
      const catalog = await client.get('x', job, { scope: 'registry:catalog:*' });
      const headers = { Authorization: `Bearer ${catalog.token}` };
      const answer = await fetch(`${stack.url}/v2/_catalog`, { headers });
      assert.equal(answer.status, 200);
      assert.ok(Array.isArray(((await answer.json()) as { repositories: string[] }).repositories));
    });

    test('a pod’s token: claims in claims', async () => {
      const pod = await issuer.sign({
        sub: 'system:serviceaccount:prod:web',
        ref_protected: true,
        'kubernetes.io': { namespace: 'prod', serviceaccount: { name: 'web' } },
      });
      const { granted } = await client.get('x', pod, app);
      assert.deepEqual(granted, ['repository:team/app:pull']);
    });

    test('what is not for us, too old, unprotected or forged is refused', async () => {
      const good = await issuer.sign(claims);
      const [head = '', , tail = ''] = good.split('.');
      const forged = Buffer.from(
        JSON.stringify({
          ...claims,
          iss: issuer.issuer,
          aud: 'registry',
          exp: Date.now(),
          sub: 'x',
        }),
      ).toString('base64url');
      for (const token of [
        await issuer.sign(claims, { audience: 'other' }),
        await issuer.sign(claims, { expiresIn: '-5m' }),
        await issuer.sign({ ...claims, ref_protected: 'false' }),
        await issuer.sign({ project_path: 'team/app', ref_protected: 'true' }),
        `${head}.${forged}.${tail}`,
      ]) {
        assert.equal((await client.get('x', token)).status, 401);
      }
      assert.equal((await client.get('x', good)).status, 200);
    });

    test('another key of the issuer is found, and asking is bounded', async () => {
      const before = issuer.asked();
      await issuer.rotate();
      const job = await issuer.sign(claims);
      await waitFor('the new key', async () => (await client.get('x', job)).status === 200);
      assert.ok(issuer.asked() - before <= 3);
    });
  });

  test('changed rules are in force by themselves, and useless ones change nothing', async () => {
    const text = await readFile(config, 'utf8');
    const granted = async () => (await client.get('bob', password, app)).granted.join();
    const write = async (acl: unknown) => {
      const all = parse(text);
      all.portcullis.acl = acl;
      await writeFile(config, stringify(all));
    };
    await write([{ match: { account: 'bob' }, actions: ['pull'] }]);
    await waitFor('other rules', async () => (await granted()) === 'repository:team/app:pull');
    await write([{ match: { account: '/(/' }, actions: ['*'] }]);
    await waitFor('the complaint', () =>
      /is invalid; keeping the previous state/.test(stack.output()),
    );
    assert.equal(await granted(), 'repository:team/app:pull');
    await writeFile(config, text);
    await waitFor('the first rules', async () => (await granted()).endsWith('push,delete'));
  });

  test('the audit log holds what happened, and no secret', async () => {
    const text = await readFile(join(stack.dir, 'audit.log'), 'utf8');
    const lines = text
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as Record<string, unknown>);
    const events = new Set(lines.map(({ event }) => event));
    for (const event of ['login', 'token', 'account', 'revoked']) {
      assert.ok(events.has(event), event);
    }
    assert.ok(lines.some(({ event, ok }) => event === 'login' && ok === false));
    const cold = lines.find(({ subject, denied }) => subject === 'robot+cold' && denied);
    assert.deepEqual(cold?.denied, [{ scope: 'repository:frozen/app:push', rule: 0 }]);
    const changes = lines.filter(({ event }) => event === 'account');
    const ofBrief = changes.filter(({ subject }) => subject === 'robot+brief');
    assert.deepEqual(
      ofBrief.map(({ what }) => what),
      ['made', 'secret changed', 'removed'],
    );
    assert.ok(changes.some(({ subject, what }) => subject === 'ann' && what === 'removed'));
    assert.ok(lines.some(({ event, subject }) => event === 'revoked' && subject === 'bob'));
    for (const secret of [password, 'prt_', 'eyJ']) assert.ok(!text.includes(secret), secret);
    assert.ok(!stack.output().includes('prt_'));
  });
});
