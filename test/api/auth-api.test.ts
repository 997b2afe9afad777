import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import { connect } from 'node:net';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import bcrypt from 'bcryptjs';
import fc from 'fast-check';
import { createLocalJWKSet, type JSONWebKeySet, jwtVerify } from 'jose';
import { openAuditLog } from '#libs/audit/audit-log.ts';
import { trustAnyPeer } from '#libs/http/peer-check.ts';
import { createReadiness } from '#libs/http/readiness.ts';
import { listen } from '#libs/http/serve.ts';
import { createAclPolicy } from '#libs/policy/acl.ts';
import { createTokenRecord } from '../../services/auth/api/token-record.ts';
import { createAuthApp } from '../../services/auth/app.ts';
import { type AuthBudgets, createAuthBudgets } from '../../services/auth/budgets.ts';
import { type AccountStores, openAccounts } from '../../services/auth/identities/accounts.ts';
import { createIdentities } from '../../services/auth/identities/identities.ts';
import { createIdentityTokens } from '../../services/auth/identities/identity-tokens.ts';
import { createFirstKey } from '../../services/auth/keys/create-key.ts';
import { type KeyRing, openKeyRing } from '../../services/auth/keys/key-ring.ts';
import { loadKeys } from '../../services/auth/keys/signing-key.ts';
import { openKnownLogins } from '../../services/auth/limits/known-logins.ts';
import { createLoginLimits, type LoginLimits } from '../../services/auth/limits/login-limits.ts';
import { createMemoryCounter } from '../../services/auth/limits/memory-counter.ts';
import { openRevocations, type Revocations } from '../../services/auth/revocations.ts';
import { openSecretHistory } from '../../services/auth/users/secret-history.ts';
import { openWorkloads } from '../../services/auth/workloads/workloads.ts';
import { headerText, pathText } from '../support/arbitrary-text.ts';
import { createRecordingLog } from '../support/recording-log.ts';
import { createTemporaryFolder, type TemporaryFolder } from '../support/temporary-folder.ts';
import { waitFor } from '../support/wait-for.ts';

interface TokenAnswer {
  token: string;
  access_token: string;
  expires_in: number;
  issued_at: string;
  scope?: string;
}

describe('the token service', () => {
  let folder: TemporaryFolder;
  let accounts: AccountStores;
  let keys: KeyRing;
  let server: Server;
  let url: string;
  let budgets: AuthBudgets;
  let revocations: Revocations;
  /** The file of the audit log. */
  let auditFile: string;
  /** Happens after a login was found right, while that is counted. */
  let whileCounting: (() => Promise<void>) | undefined;

  before(async () => {
    folder = await createTemporaryFolder();
    const { log } = createRecordingLog();
    const state = join(folder.path, 'state');
    auditFile = join(folder.path, 'audit.log');
    const audit = { path: auditFile, stream: undefined };
    await createFirstKey(state);
    const [key] = await loadKeys(state);
    assert.ok(key !== undefined);
    const ttl = 300_000;
    keys = openKeyRing({ stateFolder: state, keys: [key], ttl, log, onChange() {} });
    const htpasswd = join(folder.path, 'htpasswd');
    await writeFile(htpasswd, `bob:${bcrypt.hashSync('secret', 4)}\n`);
    const secret = Buffer.alloc(32, 1);
    const history = await openSecretHistory(join(state, 'rehashed.json'), secret);
    revocations = await openRevocations({ stateFolder: state, history, log });
    accounts = await openAccounts({ htpasswd, state }, revocations, () => {}, log);
    const identityTokens = createIdentityTokens(secret, 'portcullis', 3_600_000, history);
    const none = { perAddress: 0, perAccount: 0, perLogin: 0, perAnonymous: 0 };
    const counter = createMemoryCounter(300_000);
    const counting = createLoginLimits({
      settings: { window: 300_000, ...none },
      counter,
      requests: counter,
      known: openKnownLogins({ path: undefined, secret, redis: undefined, log }),
    });
    const limits: LoginLimits = {
      ...counting,
      async admit(attempt) {
        const admission = await counting.admit(attempt);
        return {
          ...admission,
          async right() {
            await whileCounting?.();
            await admission.right();
          },
        };
      },
    };
    const policy = createAclPolicy(
      [
        { match: { account: '/.+/', name: '${account}/**' }, actions: ['pull', 'push'] },
        { match: { name: 'public/**' }, actions: ['pull'] },
      ],
      {},
    );
    budgets = createAuthBudgets();
    const app = createAuthApp({
      readiness: createReadiness(),
      log,
      revocations,
      keys,
      identityTokens,
      identityOnGet: false,
      identities: createIdentities({
        ...accounts,
        identityTokens,
        revocations,
        workloads: await openWorkloads([], log),
        limits,
        history,
        labelKeys: () => policy.labelKeys,
      }),
      policy: () => policy,
      limits,
      robots: accounts.robots,
      record: createTokenRecord(openAuditLog(audit, 'auth', log), log),
      checkPeer: trustAnyPeer,
      realm: 'Test',
      budgets,
      issue: {
        signing: keys.signing,
        issuer: 'portcullis',
        services: [
          { name: 'registry', kid: 'rfc7638', x5c: true },
          { name: 'old', kid: 'libtrust', x5c: false },
        ],
        ttl,
      },
    });
    const handle = app.callback();
    server = createServer((request, response) => void handle(request, response));
    url = `http://127.0.0.1:${await listen(server, { host: '127.0.0.1', port: 0 })}`;
  });

  after(async () => {
    server.closeAllConnections();
    server.close();
    keys.close();
    await accounts.close();
    await folder.remove();
  });

  const basic = (account: string, password: string) => ({
    Authorization: `Basic ${Buffer.from(`${account}:${password}`).toString('base64')}`,
  });
  const get = (query: string, headers: Record<string, string> = {}) =>
    fetch(`${url}/auth/token?${query}`, { headers });
  const post = (form: string) =>
    fetch(`${url}/v2/_token`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/x-www-form-urlencoded' },
      body: form,
    });

  /** Checks a token with the published keys, as any verifier would. */
  async function claimsOf(response: Response) {
    assert.equal(response.status, 200);
    const answer = (await response.json()) as TokenAnswer;
    assert.equal(answer.token, answer.access_token);
    assert.equal(answer.expires_in, 300);
    assert.ok(Math.abs(Date.parse(answer.issued_at) - Date.now()) < 60_000);
    const jwks = (await (await fetch(`${url}/auth/jwks`)).json()) as JSONWebKeySet;
    const { payload, protectedHeader } = await jwtVerify(answer.token, createLocalJWKSet(jwks), {
      issuer: 'portcullis',
      audience: 'registry',
    });
    assert.equal(protectedHeader.alg, 'ES256');
    assert.equal(protectedHeader.kid, jwks.keys[0]?.kid);
    return { subject: payload.sub, access: payload.access, scope: answer.scope };
  }

  const own = { type: 'repository', name: 'bob/app', actions: ['pull', 'push'] };

  test('forms that are on their way are counted, until they are there or their client has left', async () => {
    const { port } = new URL(url);
    const socket = connect({ host: '127.0.0.1', port: Number(port) });
    socket.write(
      'POST /auth/token HTTP/1.1\r\nHost: a\r\nContent-Length: 60000\r\n\r\ngrant_type=password',
    );
    await waitFor('what most forms need', () => budgets.forms.used === 2048);
    socket.write('a'.repeat(3000));
    await waitFor('what came to be counted', () => budgets.forms.used > 3000);
    const { used } = budgets.forms;
    assert.ok(used < 7000, `${used} bytes of what was only announced`);
    const form = new URLSearchParams({ grant_type: 'password', username: 'bob' });
    assert.equal((await fetch(`${url}/auth/token`, { method: 'POST', body: form })).status, 400);
    assert.equal(budgets.forms.used, used);
    socket.destroy();
    await waitFor('it to be given back', () => budgets.forms.used === 0);
  });

  test('requests that are asked for in one have a line each, whatever their ids are', async () => {
    const lines = async () =>
      (await readFile(auditFile, 'utf8')).split('\n').filter((line) => line !== '');
    for (const joined of ['b,c', 'a,a']) {
      const before = (await lines()).length;
      const ids = { 'X-Request-Id': 'a', 'X-Portcullis-Joined': joined };
      assert.equal((await get('', { ...basic('bob', 'secret'), ...ids })).status, 200);
      const told = await waitFor('a line of each', async () => {
        const found = (await lines()).slice(before);
        return found.length >= 6 ? found : undefined;
      });
      const events = told.map((line) => JSON.parse(line) as Record<string, unknown>);
      for (const event of ['login', 'token']) {
        const found = events.filter((one) => one.event === event).map((one) => one.requestId);
        assert.deepEqual(found, ['a', ...joined.split(',')], event);
      }
    }
  });

  test('Basic credentials and scopes by GET give a token for what is allowed', async () => {
    const scopes = 'scope=repository:bob/app:pull,push&scope=repository:eve/app:pull';
    const { subject, access } = await claimsOf(await get(scopes, basic('bob', 'secret')));
    assert.equal(subject, 'bob');
    assert.deepEqual(access, [own]);
  });

  test('scopes may be repeated or stand in one value, and are merged', async () => {
    const joined = `scope=${encodeURIComponent('repository:bob/app:pull repository:bob/app:push')}`;
    for (const query of [joined, 'scope=repository:bob/app:pull&scope=repository:bob/app:push']) {
      assert.deepEqual((await claimsOf(await get(query, basic('bob', 'secret')))).access, [own]);
    }
  });

  test('login as docker does it: no scope, and what it adds is read over', async () => {
    const query = 'account=bob&client_id=docker&offline_token=true&service=registry';
    const response = await get(query, basic('bob', 'secret'));
    assert.equal(Object.hasOwn((await response.clone().json()) as object, 'refresh_token'), false);
    assert.deepEqual((await claimsOf(response)).access, []);
  });

  test('a caller without login gets what the rules give to everybody', async () => {
    const { subject, access } = await claimsOf(
      await get('scope=repository:public/x:pull,push&scope=repository:bob/app:pull'),
    );
    assert.equal(subject, '');
    assert.deepEqual(access, [{ type: 'repository', name: 'public/x', actions: ['pull'] }]);
  });

  test('POST with the password gives a token and says its scope', async () => {
    const { access, scope } = await claimsOf(
      await post(
        'grant_type=password&username=bob&password=secret&service=registry&client_id=x&scope=repository:bob/app:pull,push',
      ),
    );
    assert.deepEqual(access, [own]);
    assert.equal(scope, 'repository:bob/app:pull,push');
  });

  test('a grant that we do not know is 400 with an OAuth error, so that clients fall back to GET', async () => {
    for (const form of ['grant_type=authorization_code', 'grant_type=toString', '']) {
      const response = await post(form);
      assert.equal(response.status, 400);
      const { error } = (await response.json()) as { error: string };
      assert.equal(error, 'unsupported_grant_type');
    }
    const incomplete = await post('grant_type=password&username=bob');
    assert.equal(((await incomplete.json()) as { error: string }).error, 'invalid_request');
  });

  test('wrong, unknown and endless credentials are 401, by GET and by POST', async () => {
    const refused = [
      await get('', basic('bob', 'wrong')),
      await get('', basic('nobody', 'secret')),
      await get('', basic('bob', 'x'.repeat(10_000))),
      await get('', { Authorization: 'Basic !!!' }),
      await get('', { Authorization: 'Bearer x' }),
      await post('grant_type=password&username=bob&password=wrong'),
      await post('grant_type=refresh_token&refresh_token=x'),
    ];
    for (const response of refused) {
      assert.equal(response.status, 401);
      assert.match(await response.text(), /UNAUTHORIZED/);
      assert.match(response.headers.get('www-authenticate') ?? '', /^Basic realm="Test"/);
    }
  });

  test('a login that is revoked while it is counted gives no token', async () => {
    const form = 'grant_type=password&service=registry&client_id=x&username=bob&password=secret';
    whileCounting = async () => {
      await revocations.follow(new Map([['bob', 'another hash']]));
      whileCounting = undefined;
    };
    assert.equal((await post(form)).status, 401);
    assert.equal((await post(form)).status, 200);
  });

  test('a form without end is 413, a hundred scopes are enough', async () => {
    assert.equal((await post('x'.repeat(70_000))).status, 413);
    const many = Array.from({ length: 150 }, (_, index) => `scope=repository:a${index}:pull`);
    assert.equal((await get(many.join('&'))).status, 400);
  });

  test('without a login ten scopes are enough', async () => {
    const scopes = (number: number) =>
      Array.from({ length: number }, (_, n) => `scope=repository:public/${n}:pull`).join('&');
    assert.equal((await claimsOf(await get(scopes(10)))).subject, '');
    const refused = await get(scopes(11));
    assert.equal(refused.status, 400);
    assert.match(await refused.text(), /at most 10 scopes without a login/);
    assert.equal((await get(scopes(11), basic('bob', 'secret'))).status, 200);
  });

  test('a token that no header can carry is refused', async () => {
    const long = Array.from(
      { length: 90 },
      (_, n) => `scope=repository:bob/${'x'.repeat(90)}${n}:pull`,
    );
    const response = await post(
      `grant_type=password&username=bob&password=secret&${long.join('&')}`,
    );
    assert.equal(response.status, 400);
    assert.match(await response.text(), /fewer scopes/);
  });

  test('a name with a host, a port or look-alikes of letters is granted nothing, and breaks nothing', async () => {
    for (const name of [
      'host:5000/team/app',
      'bob/app:v1',
      'b\u043eb/app',
      'bob/../eve/app',
      '-',
      '',
    ]) {
      const { access } = await claimsOf(
        await get(
          `service=registry&scope=${encodeURIComponent(`repository:${name}:pull,push`)}`,
          basic('bob', 'secret'),
        ),
      );
      assert.deepEqual(access, [], name);
    }
    // Cyrillic, full width, composed and not: other accounts, all unknown.
    for (const account of [
      'b\u043eb',
      '\uff42ob',
      'bob\u200b',
      'bob\u0301',
      'BOB',
      ' bob',
      'bob\u0000',
    ]) {
      assert.equal((await get('', basic(account, 'secret'))).status, 401, account);
    }
  });

  test('any query, login and form is answered', async () => {
    const known = ['service', 'scope', 'account', 'grant_type', 'username', 'password', '='];
    const scopes = ['repository', 'registry:catalog:*', ':', 'bob/app', 'pull,push', '&', '%20'];
    const words = ['password', 'refresh_token', 'offline_token', 'true', 'bob', 'secret'];
    const text = pathText(...known, ...scopes, ...words);
    const login = headerText('Basic ', 'Bearer ', 'Ym9iOnNlY3JldA==', 'Ym9i', 'e30.e30.e30');
    await fc.assert(
      fc.asyncProperty(text, login, async (query, authorization) => {
        const headers = { Authorization: authorization };
        for (const response of [await get(query), await get(query, headers), await post(query)]) {
          const body = await response.text();
          assert.ok(response.status < 500, `${response.status} ${body}`);
        }
      }),
      { numRuns: 150 },
    );
  });

  test('the catalog filter tells for each name whether it may be pulled', async () => {
    const response = await fetch(`${url}/internal/filter`, {
      method: 'POST',
      body: JSON.stringify({ subject: 'bob', names: ['bob/app', 'eve/app', 'public/x'] }),
    });
    assert.deepEqual(await response.json(), { allowed: '101' });
  });

  test('other methods and paths are refused', async () => {
    assert.equal((await fetch(`${url}/auth/token`, { method: 'DELETE' })).status, 405);
    assert.equal((await fetch(`${url}/auth/nothing`)).status, 404);
  });
});
