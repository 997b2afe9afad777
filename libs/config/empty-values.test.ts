import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { settingsOf } from '../../test/support/settings-of.ts';

const htpasswd = 'auth: { htpasswd: { realm: x, path: /h } }';

describe('an empty value is the default', () => {
  test('of the limits on wrong passwords, and never no limit', async () => {
    const lines = `${htpasswd}\nportcullis: { auth: { limits: { address: , account: "", window: } } }`;
    const { auth } = await settingsOf(lines);
    assert.equal(auth?.limits.perAddress, 50);
    assert.equal(auth?.limits.perAccount, 100);
    assert.equal(auth?.limits.window, 300_000);
    const env = { REGISTRY_PORTCULLIS_AUTH_LIMITS_LOGIN: '' };
    assert.equal((await settingsOf(htpasswd, env)).auth?.limits.perLogin, 10);
  });

  test('of pages, times, switches, texts, lists and whole sections', async () => {
    const lines = [
      'log: { level: , accesslog: }',
      'http: { draintimeout: , headers: , debug: , prefix: "", host: " " }',
      'health: { storagedriver: { enabled: true, interval: , threshold: } }',
      'catalog: { maxentries: }',
      'portcullis:',
      '  pagesize:',
      '  gc: { interval: , delay: "" , untagged: }',
      '  gateway: { idletimeout: , headerstimeout: "", trustedproxies: , workers: , proxyprotocol: }',
    ].join('\n');
    const found = await settingsOf(lines);
    const usual = await settingsOf('health: { storagedriver: { enabled: true } }');
    const comparable = ({ configPath, sockets, internal, ...rest }: typeof found) => rest;
    assert.deepEqual(comparable(found), comparable(usual));
  });
});

describe('an empty value that would open something is refused', () => {
  const refused: readonly [lines: string, message: RegExp][] = [
    ['auth:', /auth: is empty/],
    ['auth: { htpasswd: { path: } }', /auth\.htpasswd\.path: is missing/],
    ['redis:', /redis: is empty/],
    ['redis: { addr: "" }', /redis: addr or addrs must name a server/],
    ['redis: { addr: x, tls: }', /redis\.tls: is empty/],
    ['http: { tls: }', /http\.tls: is empty/],
    ['http: { tls: { certificate: , key: } }', /http\.tls\.certificate: is empty/],
    [
      'portcullis: { internal: { certificate: "" } }',
      /portcullis\.internal\.certificate: is empty/,
    ],
    ['portcullis: { acl: }', /portcullis\.acl: is empty/],
    ['portcullis: { acl: [] , groups: { a: } }', /portcullis\.groups\.a: /],
    ['portcullis: { groups: { a: [""] } }', /portcullis\.groups\.a\[0\]: is empty/],
    ['portcullis: { gateway: { trustedproxies: [""] } }', /trustedproxies/],
    ['portcullis: { acl: [{ actions: [pull], match: }] }', /acl\[0\]\.match: is empty/],
    ['portcullis: { acl: [{ actions: }] }', /acl\[0\]\.actions: is missing/],
    ['portcullis: { acl: [{ actions: [""] }] }', /acl\[0\]\.actions/],
    ['portcullis: { acl: [{ actions: [pull], effect: }] }', /acl\[0\]\.effect: is empty/],
    ...['account', 'name', 'type', 'service', 'ip', 'labels', 'time'].map(
      (key): [string, RegExp] => [
        `portcullis: { acl: [{ actions: [pull], match: { ${key}: } }] }`,
        new RegExp(`acl\\[0\\]\\.match\\.${key}: is empty`),
      ],
    ),
    [
      'portcullis: { workloads: [{ name: a, issuer: i, audience: b, claims: }] }',
      /workloads\[0\]\.claims: is empty/,
    ],
    [
      'portcullis: { workloads: [{ name: a, issuer: i, audience: b, claims: {} }] }',
      /workloads\[0\]\.claims: is empty; leave it out/,
    ],
  ];
  for (const [lines, message] of refused) {
    test(`refused as empty: ${lines}`, async () => {
      await assert.rejects(settingsOf(lines), message);
    });
  }

  test('an account that is "" is an anonymous client, as in docker_auth', async () => {
    const lines = `${htpasswd}\nportcullis: { acl: [{ actions: [pull], match: { account: "" } }] }`;
    assert.equal((await settingsOf(lines)).auth?.rules?.[0]?.match.account, '');
  });
});
