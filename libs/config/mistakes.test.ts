import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { checkFiles } from '../../services/portcullis/check-files.ts';
import { settingsOf } from '../../test/support/settings-of.ts';
import { createTemporaryFolder } from '../../test/support/temporary-folder.ts';
import { loadConfiguration } from './load-configuration.ts';
import { usableSettings } from './load-settings.ts';

const htpasswd = 'auth: { htpasswd: { realm: x, path: /h } }';

describe('what would only show at the start, or at each request, is refused beforehand', () => {
  const long = `/tmp/${'x'.repeat(120)}`;
  const refused: readonly [lines: string, message: RegExp][] = [
    ['http: { headers: { X-A: "a\\r\\nb" } }', /http\.headers\.X-A: has a line break/],
    ['http: { headers: { X-A: ["a", "b☺"] } }', /http\.headers\.X-A: has a line break or another/],
    ['http: { tls: {} }', /http\.tls: has no certificate and no key; without http\.tls everything/],
    ['http: { tls: { minimumtls: tls1.2 } }', /http\.tls: has no certificate and no key/],
    ['http: { addr: :5000, debug: { addr: :5000 } }', /http\.debug\.addr: is the same address/],
    [`http: { net: unix, addr: ${long} }`, /http\.addr: .*longer than the 107 bytes/],
    [`portcullis: { sockets: ${long} }`, /portcullis\.sockets: .*longer than the 107 bytes/],
    [
      `${htpasswd}\nportcullis: { acl: [], workloads: [{ name: a, issuer: gitlab, audience: b }] }`,
      /workloads: a: the issuer "gitlab" is not a URL/,
    ],
    [
      `auth: { token: { realm: r, service: s, issuer: i, jwks: "https://u:secret@a.test/j" } }`,
      /^(?!.*secret@).*auth\.token\.jwks: has a user or a password in its URL/s,
    ],
    [
      `${htpasswd}\nportcullis: { acl: [], workloads: [{ name: a, issuer: "https://u:secret@a.test", audience: b }] }`,
      /^(?!.*secret@).*issuer: has a user or a password in its URL/s,
    ],
  ];
  for (const [lines, message] of refused) {
    test(lines, async () => {
      await using folder = await createTemporaryFolder();
      const path = join(folder.path, 'config.yml');
      await writeFile(path, `version: 0.1\nstorage: { inmemory: {} }\n${lines}\n`);
      const judging = async () => usableSettings(await loadConfiguration(path, {}));
      await assert.rejects(judging, message);
    });
  }

  test('files that are no key set, and files in the place of folders', async () => {
    await using folder = await createTemporaryFolder();
    const file = join(folder.path, 'file');
    await writeFile(file, 'not JSON');
    const settings = await settingsOf(
      [
        `auth: { token: { realm: r, service: s, issuer: i, jwks: ${file} } }`,
        `portcullis: { sockets: ${file} }`,
        `http: { net: unix, addr: ${join(folder.path, 'absent/a.sock')} }`,
      ].join('\n'),
    );
    const { problems } = await checkFiles(settings, ['core', 'gateway']);
    assert.deepEqual(problems, [
      `auth.token.jwks: ${file} is not JSON`,
      `http.addr: the folder ${join(folder.path, 'absent')} does not exist`,
      `portcullis.sockets: ${file} is a file; name a folder`,
    ]);
  });
});

describe('a number or a time out of its bounds is refused with them', () => {
  const refused: readonly [lines: string, message: RegExp][] = [
    ['portcullis: { pagesize: 0 }', /portcullis\.pagesize: must be a whole number from 1 to /],
    ['portcullis: { pagesize: many }', /portcullis\.pagesize: must be a whole number/],
    ['portcullis: { pagesize: false }', /portcullis\.pagesize: must be a whole number/],
    ['portcullis: { pagesize: [] }', /portcullis\.pagesize: must be a whole number/],
    ['portcullis: { auth: { limits: { address: -1 } } }', /limits\.address: must be a whole/],
    ['portcullis: { auth: { limits: { address: 1e9 } } }', /limits\.address: must be a whole/],
    ['portcullis: { gateway: { idletimeout: 0 } }', /idletimeout: must be from 1s to 24h/],
    ['portcullis: { gateway: { headerstimeout: 0s } }', /headerstimeout: must be from 1s to /],
    ['portcullis: { gateway: { idletimeout: 597h } }', /idletimeout: must be from 1s to 24h/],
    ['portcullis: { gateway: { idletimeout: 60 } }', /idletimeout: must be from 1s to 24h/],
    ['portcullis: { draindelay: 600h }', /draindelay: must be from 0s to 1h/],
    ['http: { draintimeout: 600h }', /draintimeout: must be from 0s to 24h/],
    ['portcullis: { gc: { interval: 100000h } }', /gc\.interval: must be from 1s to 8760h, or 0s/],
    ['portcullis: { gateway: { workers: 1000000 } }', /workers: must be a whole number from 1 to/],
    ['redis: { addr: x, dialtimeout: 600h }', /redis\.dialtimeout: must be from /],
    [
      'storage: { inmemory: {}, maintenance: { uploadpurging: { age: 0 } } }',
      /uploadpurging\.age: must be from 1s to /,
    ],
    ['health: { http: [{ uri: "http://x", timeout: 600h }] }', /timeout: must be from /],
    ['auth: { none: {}, htpaswd: { path: /x } }', /htpaswd: unknown key; did you mean htpasswd\?/],
    ['auth: { none: false }', /auth\.none: /],
    ['http: { port: 5000 }', /http\.port: unknown key; it stands at http\.addr/],
    ['log: {}\nlog: {}', /this key stands in the same section already/],
    ['http: { headers: { "X-Bad Name": [a] } }', /X-Bad Name: is not a name that may stand here/],
    [
      'portcullis: { acl: [{ account: bob, actions: [pull] }] }',
      /acl\[0\]\.account: unknown key; it stands at match\.account/,
    ],
    [
      'portcullis: { users: { bob: { pasword: x } } }',
      /users\.bob: unknown key pasword; did you mean password\?/,
    ],
    ['portcullis: { token: { identity: perhaps } }', /token\.identity: must be true or false/],
    ['auth: { htpasswd: { path: /x, acl: [] } }', /htpasswd\.acl: unknown key/],
    [
      'auth: { htpasswd: { path: /x }, acl: [] }',
      /auth\.acl: unknown key; it stands at portcullis/,
    ],
    ['storage: { inmemory: {}, readonly: {} }', /storage\.readonly: unknown key; it stands at/],
    [
      'storage: { filesystem: { rootdir: /x } }',
      /rootdir: unknown key; did you mean rootdirectory/,
    ],
    [
      'storage: { inmemory: {}, maintenance: { readonly: { enable: true } } }',
      /readonly\.enable: unknown key; did you mean enabled\?/,
    ],
  ];
  for (const [lines, message] of refused) {
    const text = lines.startsWith('storage:') ? `${lines}\n` : lines;
    test(lines, async () => {
      await using folder = await createTemporaryFolder();
      const path = join(folder.path, 'config.yml');
      const storage = text === lines ? 'storage: { inmemory: {} }\n' : '';
      await writeFile(path, `version: 0.1\n${storage}${text}\n`);
      await assert.rejects(loadConfiguration(path, {}), message);
    });
  }

  test('a month between two collections is a month', async () => {
    const { garbage } = await settingsOf('portcullis: { gc: { interval: 720h } }');
    assert.equal(garbage.interval, 720 * 3_600_000);
  });

  test('what counts less than a millisecond is not nothing', async () => {
    const { redis } = await settingsOf('redis: { addr: x, readtimeout: 1ns }');
    assert.equal(redis?.commandTimeout, 1);
  });
});

describe('a key that was meant for portcullis and is not known stops the start', () => {
  const refused: readonly [lines: string, message: RegExp][] = [
    ['portcullis: { alc: [] }', /portcullis\.alc: unknown key; did you mean acl\?/],
    ['portcullis: { core: { limit: {} } }', /portcullis\.core\.limit: .*did you mean limits\?/],
    ['portcullis: { anything: 1 }', /portcullis\.anything: unknown key$/m],
    ['portculis: { acl: [] }', /portculis: unknown key; did you mean portcullis\?/],
    ['acl: []', /acl: unknown key; it stands at portcullis\.acl/],
    ['groups: {}', /groups: unknown key; it belongs under portcullis/],
    ['auht: { htpasswd: { path: /x } }', /auht: unknown key; did you mean auth\?/],
    ['Auth: { htpasswd: { path: /x } }', /Auth: unknown key; did you mean auth\?/],
    ['authentification: {}', /authentification: unknown key; it stands at auth/],
    ['auth.htpasswd: { path: /x }', /auth\.htpasswd: unknown key; write htpasswd below auth/],
    [
      'portcullis.acl: [{ match: { account: admin }, actions: [pull] }]',
      /portcullis\.acl: unknown key; write acl below portcullis/,
    ],
    [
      'storage.maintenance.readonly: { enabled: true }',
      /storage\.maintenance\.readonly: unknown key; write readonly below storage, maintenance/,
    ],
    ['http: { "tls.certificate": /x }', /http\.tls\.certificate: unknown key/],
    ['http: { tls_certificate: /x }', /http\.tls_certificate: unknown key/],
    ['health: {}\nvalidation: { read_only: true }', /validation\.read_only: unknown key/],
    ['Http: { addr: ":5001" }', /Http: unknown key; did you mean http\?/],
    ['https: { addr: ":5001" }', /https: unknown key; did you mean http\?/],
    ['http: { adr: ":5001" }', /http\.adr: unknown key; did you mean addr\?/],
    ['http: { tls: { clientCAs: [x] } }', /clientCAs: unknown key; did you mean clientcas\?/],
    ['http: { auth: { htpasswd: {} } }', /http\.auth: unknown key; it stands at auth/],
    ['log: { auth: {} }', /log\.auth: unknown key; it stands at auth/],
    ['http: { portcullis: { acl: [] } }', /http\.portcullis: unknown key; it stands at portcullis/],
    ['htpp: { addr: ":1", tls: {} }', /htpp: unknown key; did you mean http\?/],
    [
      'security: { x: { htpasswd: {} } }',
      /security: unknown key; htpasswd belongs at auth\.htpasswd/,
    ],
    ['http: { ssl: {} }', /http\.ssl: unknown key; /],
    ['maintenance: {}', /maintenance: unknown key; it stands at storage\.maintenance/],
    ['accessControl: {}', /accessControl: unknown key; it stands at portcullis\.acl/],
    ['authentication: {}', /authentication: unknown key; it stands at auth/],
    ['htpasswd: { path: /x }', /htpasswd: unknown key; it stands at auth\.htpasswd/],
    ['http: { tsl: { certificate: a } }', /http\.tsl: unknown key; did you mean tls\?/],
    [
      'portcullis: { acl: [{ match: { acount: bob }, actions: [pull] }] }',
      /portcullis\.acl\[0\]\.match\.acount: unknown key; did you mean account\?/,
    ],
    [
      'portcullis: { acl: [{ match: {}, action: [pull] }] }',
      /portcullis\.acl\[0\]\.action: unknown key; did you mean actions\?/,
    ],
  ];
  for (const [lines, message] of refused) {
    test(lines, async () => {
      await assert.rejects(settingsOf(`${htpasswd}\n${lines}`), message);
    });
  }

  test('what begins with x- holds anchors, and is nobody’s setting', async () => {
    const lines = 'x-tls: &tls { auth: { tls: 1 } }\nhttp: { addr: :5001 }';
    assert.ok(await settingsOf(lines));
  });

  test('levels of the log are taken in any case', async () => {
    const { log } = await settingsOf('log: { level: WARN }', { REGISTRY_LOG_LEVEL: 'Error' });
    assert.equal(log.level, 'error');
    assert.equal((await settingsOf('loglevel: DEBUG')).log.level, 'debug');
  });

  test('others are named, with the one that was perhaps meant', async () => {
    await using folder = await createTemporaryFolder();
    const path = join(folder.path, 'config.yml');
    await writeFile(path, 'version: 0.1\nstorage: { inmemory: {} }\nlog: { fromatter: json }\n');
    const { diagnostics } = await loadConfiguration(path, {});
    assert.match(JSON.stringify(diagnostics), /log\.fromatter: unknown key; ignored; did you mean/);
  });

  test('a slip in redis is refused, which has keys of others besides', async () => {
    await assert.rejects(
      settingsOf('redis: { addr: x, pasword: y, tsl: {}, pool: {} }'),
      /redis\.pasword: unknown key; did you mean password\?\n.*redis\.tsl: unknown key; did you mean tls\?/,
    );
    await assert.rejects(
      settingsOf('redis: { addr: x, ssl: true, certificate: /c }'),
      /redis\.ssl: unknown key; it stands at redis\.tls\n.*redis\.certificate: .* at redis\.tls\.certificate/,
    );
    const { redis } = await settingsOf('redis: { addr: x, pool: {}, poolsize: 3, readonly: true }');
    assert.equal(redis?.addresses[0].host, 'x');
  });
});

test('yes and no, on and off are what they are in the YAML that the original reads', async () => {
  for (const [text, expected] of [
    ['yes', true],
    ['On', true],
    ['no', false],
    ['OFF', false],
  ] as const) {
    const { log } = await settingsOf(`log: { accesslog: { disabled: ${text} } }`);
    assert.equal(log.access, !expected, text);
  }
  await assert.rejects(settingsOf('http: { relativeurls: maybe }'), /must be true or false/);
});

test('a duration without a unit is told so', async () => {
  await assert.rejects(
    settingsOf('portcullis: { gc: { interval: 5 } }'),
    /portcullis\.gc\.interval: .*, not 5; write 5s or 5m, with a unit/,
  );
  await assert.rejects(
    settingsOf('portcullis: { token: { ttl: 5 } }'),
    /portcullis\.token\.ttl: must be from 1m to 24h, not 5; write 5m or 5h, with a unit/,
  );
  await assert.rejects(
    settingsOf('portcullis: { gc: { grace: 24 }, draindelay: 5 }'),
    /gc\.grace: is 24 nanoseconds; write 24s or 24m, with a unit\n.*draindelay: is 5 nanoseconds; write 5s/,
  );
  const { garbage } = await settingsOf('portcullis: { gc: { grace: 3600000000000, delay: 0 } }');
  assert.deepEqual([garbage.grace, garbage.delay], [3_600_000, 0]);
});

test('what a variable set is its mistake, and not that of the file', async () => {
  const env = { REGISTRY_LOG_LEVEL: 'loud' };
  await assert.rejects(
    settingsOf('', env),
    /^ConfigurationError: REGISTRY_LOG_LEVEL: log\.level: must/,
  );
  await assert.rejects(
    settingsOf('', { REGISTRY_HTTP_HTTP2: '{ disabled: perhaps }' }),
    /: REGISTRY_HTTP_HTTP2: http\.http2\.disabled: must be true or false/,
  );
});

test('a file in which nobody can log in is worth a word', async () => {
  await using folder = await createTemporaryFolder();
  const path = join(folder.path, 'htpasswd');
  const settings = await settingsOf(`auth: { htpasswd: { realm: x, path: ${path} } }`);
  for (const [text, expected] of [
    [
      'bob:$apr1$x$y\n',
      [/user "bob" is refused/, /no user can log in; make one with: portcullis user add/],
    ],
    ['', [/no user can log in/]],
    [`bob:$2y$05$${'a'.repeat(53)}\n`, []],
  ] as const) {
    await writeFile(path, text);
    const { warnings } = await checkFiles(settings, ['auth']);
    assert.equal(warnings.length, expected.length, warnings.join());
    for (const [index, pattern] of expected.entries()) assert.match(warnings[index] ?? '', pattern);
  }
});

test('an address of Redis that is refused does not show the password in it', async () => {
  for (const address of ['redis://u:hunter2@h:1', 'u:hunter2@h', 'hunter2@h:6379']) {
    for (const lines of [`redis: { addrs: ["${address}"] }`, `redis: { addr: "${address}" }`]) {
      await assert.rejects(settingsOf(lines), ({ message }) => {
        assert.match(String(message), /redis\.addrs?: has a user or a password in an address/);
        assert.doesNotMatch(String(message), /hunter2/);
        return true;
      });
    }
  }
});

test('all that is wrong is told at once, whichever sections it is in', async () => {
  const lines = [
    'http: { addr: nonsense, host: nope }',
    'redis: {}',
    'health: { tcp: [{ addr: bad }] }',
    'validation: { manifests: { indexes: { platforms: list } } }',
  ];
  await assert.rejects(settingsOf(lines.join('\n')), ({ message }) => {
    const keys = String(message)
      .split('\n')
      .map((line) => /^[a-z.]+/.exec(line.replace(/\[\d\]/g, ''))?.[0]);
    assert.deepEqual(keys, [
      'http.addr',
      'http.host',
      'redis',
      'validation.manifests.indexes',
      'health.tcp.addr',
    ]);
    return true;
  });
});
