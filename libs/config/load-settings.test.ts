import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { parseConfiguration } from './load-configuration.ts';
import { checkConfiguration, usableSettings } from './load-settings.ts';

async function verdictOn(lines: string) {
  const text = `version: 0.1\nstorage: { inmemory: {} }\n${lines}\n`;
  return checkConfiguration(await parseConfiguration({ path: 'config.yml', text }, {}));
}

const withUsers = (portcullis: string) =>
  `auth: { htpasswd: { path: /h } }\nportcullis: { ${portcullis} }`;
const withRule = (rule: string) => withUsers(`acl: [${rule}]`);

describe('a configuration is judged before anything of it is acted on', () => {
  const refused: readonly [lines: string, problem: RegExp][] = [
    [
      withRule('{ match: { account: "@nobody" }, actions: [pull] }'),
      /^portcullis\.acl\[0\]: there is no group "nobody"/,
    ],
    [withRule('{ match: { ip: 10.0.0.0/ }, actions: [pull] }'), /^portcullis\.acl\[0\]: ip: "10/],
    [withRule('{ match: { ip: [10.0.0.300] }, actions: [pull] }'), /acl\[0\]: ip: /],
    [withRule('{ match: { name: "/(/" }, actions: [pull] }'), /^portcullis\.acl\[0\]: "\/\(\/"/],
    [withRule('{ match: { name: "${acount}/**" }, actions: [pull] }'), /unknown placeholder/],
    [withRule('{ match: { labels: { a: "/[/" } }, actions: [pull] }'), /acl\[0\]: /],
    [withRule('{ match: { time: { days: mon-fry } }, actions: [pull] }'), /acl\[0\]: time\.days/],
    [withRule('{ match: { time: { zone: Europe/Nowhere } }, actions: [pull] }'), /time\.zone/],
    [
      withRule('{ match: { time: { hours: 08:00-08:00 } }, actions: [pull] }'),
      /time\.hours.*begins when it ends/,
    ],
    [
      withRule('{ effect: deny, actions: [] }'),
      /acl\[0\]: actions: must not be empty in a deny rule/,
    ],
    [withUsers('groups: { a: ["@b"], b: ["@a"] }, acl: []'), /^portcullis\.groups: a is in b/],
    [
      withUsers(
        'acl: [], workloads: [{ name: a, issuer: https://i, audience: b, claims: { sub: "/(/" } }]',
      ),
      /^portcullis\.workloads: a: sub: /,
    ],
    [
      withUsers('workloads: [{ name: a, issuer: https://i, audience: b }]'),
      /^portcullis\.workloads: a: without portcullis\.acl every job and pod .* may do everything/,
    ],
    [
      withUsers('groups: { all: ["*"] }, acl: [{ match: { account: "@all" }, actions: [pull] }]'),
      /groups: all: "\*" is a pattern/,
    ],
    ['portcullis: { gateway: { trustedproxies: 10.0.0.0/ } }', /gateway\.trustedproxies: "10/],
    ['portcullis: { gateway: { proxyprotocol: [10.0.0.0/] } }', /gateway\.proxyprotocol: "10/],
    // A rule that nobody asks is wrong all the same.
    [
      'auth: none\nportcullis: { acl: [{ match: { name: "/(/" }, actions: [pull] }] }',
      /^portcullis\.acl\[0\]/,
    ],
    ['http: { tls: { certificate: a, key: b, clientcas: [x] } }', /^http\.tls\.clientcas: /],
    ['http: { addr: nowhere }', /^http\.addr: /],
  ];
  for (const [lines, problem] of refused) {
    test(lines, async () => {
      const { problems } = await verdictOn(lines);
      assert.equal(problems.length, 1, problems.join('\n'));
      assert.match(problems[0] ?? '', problem);
    });
  }

  test('all rules that are wrong are told at once', async () => {
    const rules = '{ match: { name: "/(/" }, actions: [pull] }, { actions: ["*"] }';
    const { problems } = await verdictOn(
      withRule(`${rules}, { match: { account: "@x" }, actions: [pull] }`),
    );
    assert.deepEqual(
      problems.map((problem) => problem.slice(0, 18)),
      ['portcullis.acl[0]:', 'portcullis.acl[2]:'],
    );
  });

  test('an action that is none is refused with the one that was meant, in every rule', async () => {
    for (const effect of ['allow', 'deny']) {
      await assert.rejects(
        verdictOn(withRule(`{ effect: ${effect}, actions: [pul] }`)),
        /portcullis\.acl\[0\]\.actions: "pul" is not an action; did you mean pull\?/,
      );
    }
  });

  test('what is rarely meant is a warning', async () => {
    const { problems, warnings } = await verdictOn(
      withRule('{ match: { name: "/app/" }, actions: [pull] }'),
    );
    assert.deepEqual(problems, []);
    assert.match(warnings.join('\n'), /acl\[0\]: \/app\/ matches parts of names/);
    const open = await verdictOn('auth: none\nportcullis: { acl: [{ actions: [pull] }] }');
    assert.match(open.warnings.join('\n'), /portcullis\.acl: without auth\.htpasswd/);
    assert.deepEqual(open.problems, []);
  });

  test('workloads of an issuer for everybody are warned of, unless it says whose they are', async () => {
    const warned = async (issuer: string, claims: string) =>
      (
        await verdictOn(
          withUsers(
            `acl: [], workloads: [{ name: a, issuer: "${issuer}", audience: b, claims: ${claims} }]`,
          ),
        )
      ).warnings.filter((one) => /anybody's jobs have tokens/.test(one)).length;
    assert.equal(await warned('https://gitlab.com', '{ ref_protected: "true" }'), 1);
    assert.equal(await warned('https://gitlab.com', '{ namespace_path: team }'), 0);
    assert.equal(await warned('https://token.actions.githubusercontent.com', '{ ref: x }'), 1);
    assert.equal(
      await warned('https://token.actions.githubusercontent.com', '{ repository_owner: us }'),
      0,
    );
    assert.equal(await warned('https://gitlab.com/', '{ namespace_path: "*" }'), 1);
    assert.equal(await warned('https://token.actions.githubusercontent.com/us', '{ ref: x }'), 0);
    assert.equal(await warned('https://gitlab.example.com', '{ ref_protected: "true" }'), 0);
  });

  test('addresses that lead clients astray are warned of', async () => {
    const { warnings } = await verdictOn(
      'http: { host: "http://a.example", tls: { certificate: a, key: b } }',
    );
    assert.match(
      warnings.join('\n'),
      /http\.host: http:\/\/a\.example has clients log in by plain/,
    );
    const token =
      'auth: { token: { realm: auth.example, service: s, issuer: i, rootcertbundle: x } }';
    assert.match(
      (await verdictOn(token)).warnings.join('\n'),
      /auth\.token\.realm: "auth\.example"/,
    );
  });

  test('rules in a registry that is open without a word are not', async () => {
    const { problems } = await verdictOn('portcullis: { acl: [{ actions: [pull] }] }');
    assert.match(problems.join('\n'), /^portcullis\.acl: without auth everybody may do everything/);
  });

  test('a trash that keeps things for less than a push takes is warned of, where collections run by themselves', async () => {
    const warned = async (gc: string) =>
      (await verdictOn(`portcullis: { gc: { ${gc} } }`)).warnings.filter((one) =>
        one.includes('gc.grace'),
      ).length;
    assert.equal(await warned('grace: 1s, interval: 1h'), 1);
    assert.equal(await warned('grace: 0s'), 0);
    assert.equal(await warned('interval: 1h'), 0);
  });
});

describe('a problem names the variable that set what it is about, else the file', () => {
  const text = [
    'version: 0.1',
    'storage: inmemory',
    'auth: { htpasswd: { path: /h } }',
    'portcullis: { acl: [{ match: { account: bob }, actions: [pull] }] }',
  ].join('\n');
  for (const [name, value, problem] of [
    ['ACL', '', 'portcullis.acl: is empty'],
    ['ACL_0_MATCH_ACCOUNT', '@nobody', 'portcullis.acl[0]: '],
    ['ACL', '[{match: {account: "/(/"}, actions: [pull]}]', 'portcullis.acl[0]: '],
    ['GATEWAY_TRUSTEDPROXIES', '[nonsense]', 'portcullis.gateway.trustedproxies: '],
    ['ACL', '[{mach: {account: bob}, actions: [pull]}]', 'portcullis.acl[0]'],
  ] as const) {
    test(`${name}=${value}`, async () => {
      const variable = `REGISTRY_PORTCULLIS_${name}`;
      const start = async () => {
        const env = { [variable]: value };
        return usableSettings(await parseConfiguration({ path: 'config.yml', text }, env));
      };
      await assert.rejects(start, ({ message }: Error) => {
        // A rule of which the variable changed a part is the file's as a whole.
        const isPart = name === 'ACL_0_MATCH_ACCOUNT';
        assert.ok(message.startsWith(`${isPart ? 'config.yml' : variable}: ${problem}`), message);
        return true;
      });
    });
  }
});

test('TLS to Redis is as either version of distribution writes it', async () => {
  const tlsOf = async (text: string) =>
    (await verdictOn(`redis: { addr: x, tls: ${text} }`)).settings?.redis?.tls;
  assert.equal(await tlsOf('{ enabled: false }'), undefined);
  assert.deepEqual(await tlsOf('{ enabled: true }'), { authorities: [], own: undefined });
  const authorities = ['/b', '/a'];
  assert.deepEqual(await tlsOf('{ clientcas: [/a], rootcas: [/b] }'), {
    authorities,
    own: undefined,
  });
});

test('an address by plain http is remarked on only where there is TLS', async () => {
  const http = (more: string) => `http: { addr: ":5000", host: "http://a.test"${more} }`;
  const remarks = async (more: string) => (await verdictOn(http(more))).warnings.join();
  assert.match(await remarks(', tls: { certificate: /a, key: /b }'), /by plain http/);
  assert.doesNotMatch(await remarks(''), /by plain http/);
});
