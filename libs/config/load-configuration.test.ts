import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { parseDuration } from '../values/duration.ts';
import { parseAddress } from '../values/listen-address.ts';
import { loadConfiguration } from './load-configuration.ts';
import { toSettings } from './settings.ts';

const htpasswdWithTls = `version: 0.1
log:
  accesslog:
    disabled: true
  level: debug
  formatter: text
  fields:
    service: registry
    environment: staging
storage:
  delete:
    enabled: true
  cache:
    blobdescriptor: inmemory
  filesystem:
    rootdirectory: /var/lib/registry
auth:
  htpasswd:
    realm: basic-realm
    path: /etc/docker/registry/auth/nginx.htpasswd
http:
  addr: :443
  host: https://docker.gt.com
  headers:
    X-Content-Type-Options: [nosniff]
  http2:
    disabled: false
  tls:
    certificate: /etc/docker/registry/ssl/docker.gt.com.crt
    key: /etc/docker/registry/ssl/docker.gt.com.key
health:
  storagedriver:
    enabled: true
    interval: 10s
threshold: 3
`;

const swift = `version: 0.1
log:
  level: info
  fromatter: text
  fields:
    service: registry
storage:
  cache:
    blobdescriptor: inmemory
  delete:
    enabled: true
  swift:
    authurl: http://172.27.132.66:7480/auth/v1
    username: demo:swift
    password: ttQcU1O17DFQ4I9x
    container: registry
auth:
  htpasswd:
    realm: basic-realm
    path: /auth/htpasswd
http:
  addr: 0.0.0.0:8000
`;

describe('loading a configuration', () => {
  let dir: string;

  before(async () => {
    dir = await mkdtemp(join(tmpdir(), 'portcullis-config-'));
  });

  after(async () => {
    await rm(dir, { recursive: true });
  });

  const load = async (text: string, env: Record<string, string> = {}) => {
    const path = join(dir, 'config.yml');
    await writeFile(path, text);
    return await loadConfiguration(path, env);
  };
  const minimal = (more: string) => `version: 0.1\nstorage: { filesystem: {} }\n${more}\n`;
  const messages = async (text: string, level: string) =>
    (await load(text)).diagnostics.filter((one) => one.level === level).map(({ path }) => path);

  test('a file of the original is taken as it is, a stray key is warned of by name', async () => {
    const loaded = await load(htpasswdWithTls);
    const settings = toSettings(loaded);
    assert.deepEqual(settings.http.listen, { port: 443 });
    assert.equal(settings.http.publicUrl, 'https://docker.gt.com');
    assert.equal(settings.log.access, false);
    assert.equal(settings.deleteEnabled, true);
    assert.deepEqual(settings.storage, { driver: 'filesystem', root: '/var/lib/registry' });
    assert.deepEqual(settings.health.storage, { interval: 10_000, threshold: 3 });
    assert.equal(settings.auth?.realm, 'basic-realm');
    const levels = loaded.diagnostics.map(({ level, path }) => `${level} ${path}`);
    assert.deepEqual(levels, ['warn threshold', 'note storage.cache']);
  });

  test('aliases that grow without end are refused, and quickly', async () => {
    const lines = ['a0: &a0 [x, x, x, x, x, x, x, x, x, x]'];
    for (let level = 1; level < 12; level += 1) {
      const refs = Array.from({ length: 10 }, () => `*a${level - 1}`).join(', ');
      lines.push(`a${level}: &a${level} [${refs}]`);
    }
    await assert.rejects(load(minimal(lines.join('\n'))), /alias/i);
  });

  test('that HTTP/2 is not spoken is said where it was asked for, and nowhere else', async () => {
    const pair = 'tls: { certificate: a, key: b }';
    const noted = async (http: string) =>
      (await messages(minimal(`http: { ${http} }`), 'note')).includes('http.http2');
    assert.equal(await noted(pair), false);
    assert.equal(await noted(''), false);
    assert.equal(await noted('http2: { disabled: false }'), true);
    assert.equal(await noted(`${pair}, http2: { disabled: false }`), false);
    assert.equal(await noted(`${pair}, http2: { disabled: true }`), false);
    assert.equal(toSettings(await load(minimal(`http: { ${pair} }`))).http.http2, false);
  });

  test('a driver that we lack stops the start by name, a misspelt key is warned of', async () => {
    assert.deepEqual(await messages(swift, 'stop'), ['storage.swift']);
    assert.ok((await messages(swift, 'warn')).includes('log.fromatter'));
  });

  const stopping: readonly [section: string, path: string][] = [
    ['proxy: { remoteurl: https://x }', 'proxy'],
    ['middleware: { storage: [{ name: redirect }] }', 'middleware'],
    ['http: { tls: { certificate: a, key: b, clientcas: [c] } }', 'http.tls.clientcas'],
    ['http: { tls: { letsencrypt: { hosts: [a] } } }', 'http.tls.letsencrypt'],
    ['notifications: { endpoints: [{ name: a, url: http://x }] }', 'notifications'],
    ['auth: { silly: { realm: x } }', 'auth.silly'],
  ];
  for (const [section, path] of stopping) {
    test(`${path} stops the start`, async () => {
      assert.deepEqual(await messages(minimal(section), 'stop'), [path]);
    });
  }

  test('what is switched off or waived does not stop', async () => {
    for (const section of [
      'middleware: { storage: [{ name: redirect, disabled: true }] }',
      'notifications: { endpoints: [{ name: a, disabled: true }] }',
      'notifications: { endpoints: [{ name: a }] }\nportcullis: { ignore: [notifications] }',
      'validation: { disabled: false }',
    ]) {
      assert.deepEqual(await messages(minimal(section), 'stop'), [], section);
    }
  });

  test('problems are told together, each with its key', async () => {
    await assert.rejects(
      load('version: 0.2\nhttp: { net: pigeon, draintimeout: soon }\n'),
      (error) => {
        assert.match(String(error), /version: must be 0\.1/);
        assert.match(String(error), /http\.net: /);
        assert.match(String(error), /http\.draintimeout: "soon" is not a duration/);
        return true;
      },
    );
  });

  test('all that is wrong with the form is told together, also of the environment', async () => {
    const text = `version: 0.1
http: { net: pigeon }
auth: { htpasswd: { path: } }
redis:
portcullis: { hop: {}, internal: {}, gatway: {} }
`;
    const env = {
      REGISTRY_HTTP_TLS_CLIENTCAS_3: 'x',
      REGISTRY_LOG_LEVEL: 'loud',
      REGISTRY_PORTCULLIS_HOP_SECRETFILE: '/a',
      REGISTRY_PORTCULLIS_INTERNAL_SECRETFILE: '/b',
    };
    await assert.rejects(load(text, env), ({ message }: Error) => {
      const lines = message
        .split('\n')
        .map((line) => line.replace(`${join(dir, 'config.yml')}: `, ''));
      const expected = [
        /^portcullis\.hop: is called portcullis\.internal now/,
        /^REGISTRY_HTTP_TLS_CLIENTCAS_3: index 3 leaves a gap/,
        /^redis: is empty/,
        /^portcullis\.gatway: unknown key; did you mean gateway\?/,
        /^storage: name one driver/,
        /^REGISTRY_LOG_LEVEL: log\.level: /,
        /^auth\.htpasswd\.(?:path|realm): /,
        /^http\.net: /,
      ];
      for (const pattern of expected) {
        assert.ok(
          lines.some((line) => pattern.test(line)),
          `${pattern} in ${message}`,
        );
      }
      // What the environment says is told as such.
      const hop = message.split('\n').find((line) => line.includes('PORTCULLIS_HOP'));
      assert.match(hop ?? '', /^REGISTRY_PORTCULLIS_HOP_SECRETFILE: /);
      return true;
    });
    const slip = 'portcullis: { acl: [{ match: { acount: x }, actions: [pull] }] }';
    await assert.rejects(load(minimal(slip)), ({ message }: Error) => {
      assert.equal(message.split('\n').length, 1, message);
      return true;
    });
  });

  test('no driver, and more than one, are refused', async () => {
    await assert.rejects(load('version: 0.1\n'), /storage: name one driver/);
    await assert.rejects(
      load(minimal(''), { REGISTRY_STORAGE_S3_BUCKET: 'x' }),
      /several drivers are named \(filesystem, s3\)/,
    );
  });

  test('a bare name is that section with its defaults', async () => {
    const loaded = await load('version: 0.1\nstorage: inmemory\n');
    assert.deepEqual(toSettings(loaded).storage, { driver: 'inmemory' });
    const { configuration } = await load('version: 0.1\nstorage:\n  filesystem:\n');
    await assert.rejects(
      load('version: 0.1\nstorage: { filesystem: { rootdirectory: } }\n'),
      /rootdirectory: is empty; name a folder/,
    );
    assert.equal(configuration.storage.filesystem?.rootdirectory, '/var/lib/registry');
  });

  test('an auth section that names nothing is refused: it never means an open registry', async () => {
    await assert.rejects(load(minimal('auth: {}')), /auth: name exactly one method/);
    await assert.rejects(
      load(minimal('auth: { htpaswd: { realm: x } }')),
      /auth: name exactly one method.*; htpaswd: did you mean htpasswd\?/,
    );
    await assert.rejects(load(minimal('auth: { htpasswd: {} }')), /auth\.htpasswd\.path/);
    assert.equal(toSettings(await load(minimal(''))).auth, undefined);
  });

  test('a host with a path is refused: the path would be lost', async () => {
    const settings = async (host: string) =>
      toSettings(await load(minimal(`http: { host: "${host}" }`)));
    assert.equal(
      (await settings('https://a.example:5000/')).http.publicUrl,
      'https://a.example:5000',
    );
    await assert.rejects(settings('https://a.example/registry'), /http\.host: .*http\.prefix/);
    await assert.rejects(settings('a.example'), /is not a URL/);
  });

  test('what is no mapping, no YAML or no file is one sentence', async () => {
    await assert.rejects(load('- a\n'), /not a mapping of settings/);
    await assert.rejects(load('# nothing\n'), /the file is empty; it begins as "version: 0\.1"/);
    await assert.rejects(load('a: [\n'), /config\.yml: line \d+: /);
    for (const secret of [
      'secret: *SECRET1',
      'secret: |1SECRET1',
      'secret: "SECRET1',
      'secret: !SECRET1 x',
    ]) {
      await assert.rejects(
        load(`http:\n  ${secret}\n`),
        (error: Error) => !error.message.includes('SECRET1'),
      );
    }
    await assert.rejects(loadConfiguration(join(dir, 'absent.yml'), {}), /there is no such file/);
  });

  test('the path may come from the environment', async () => {
    await load(minimal(''));
    const env = { REGISTRY_CONFIGURATION_PATH: join(dir, 'config.yml') };
    assert.equal((await loadConfiguration(undefined, env)).path, join(dir, 'config.yml'));
  });

  test('the debug server is for all, or each process has its own', async () => {
    const of = async (text: string) => toSettings(await load(minimal(text))).debug;
    const shared = { port: 5001 };
    assert.deepEqual(await of(''), { shared: undefined, own: {}, metricsPath: undefined });
    assert.deepEqual(await of('http: { debug: { addr: ":5001" } }'), {
      shared,
      own: {},
      metricsPath: undefined,
    });
    const debug = 'debug: { addr: ":5001", prometheus: { enabled: true } }';
    const own = 'portcullis: { core: { debug: "127.0.0.1:5003" } }';
    assert.deepEqual(await of(`http: { ${debug} }\n${own}`), {
      shared,
      own: { core: { host: '127.0.0.1', port: 5003 } },
      metricsPath: '/metrics',
    });
    await assert.rejects(
      of('portcullis: { auth: { debug: x } }'),
      /^ConfigurationError: portcullis\.auth\.debug: "x" is not an address/,
    );
  });

  test('health checks have the defaults of the original', async () => {
    const of = async (text: string) =>
      toSettings(await load(minimal(`health: { ${text} }`))).health;
    assert.deepEqual(await of('file: [{ file: /down, interval: 0 }]'), {
      storage: undefined,
      files: [{ file: '/down', interval: 10_000, threshold: 1 }],
      http: [],
      tcp: [],
    });
    const { http, tcp } = await of(
      'http: [{ uri: "https://x/live", headers: { A: b }, interval: 5s }], tcp: [{ addr: ":80", timeout: 1s, threshold: 2 }]',
    );
    assert.deepEqual(http, [
      {
        url: new URL('https://x/live'),
        headers: { A: ['b'] },
        status: 200,
        interval: 5000,
        timeout: 5000,
        threshold: 1,
      },
    ]);
    assert.deepEqual(tcp, [
      { host: 'localhost', port: 80, interval: 10_000, timeout: 1000, threshold: 2 },
    ]);
    await assert.rejects(of('http: [{ uri: "ftp://user:secret@x" }]'), (error: Error) => {
      assert.match(error.message, /^health\.http\[0\]\.uri is not a URL/);
      assert.doesNotMatch(error.message, /secret/);
      return true;
    });
  });
});

test('durations are Go’s', () => {
  assert.equal(parseDuration('10s'), 10_000);
  assert.equal(parseDuration('1h30m'), 5_400_000);
  assert.equal(parseDuration('1.5s'), 1500);
  assert.equal(parseDuration('250ms'), 250);
  assert.equal(parseDuration('0'), 0);
  for (const text of ['', '10', 's', '10 s', '-1s', '1d']) {
    assert.equal(parseDuration(text), undefined, text);
  }
});

test('addresses are read as Go reads them', () => {
  assert.deepEqual(parseAddress(':5000'), { port: 5000 });
  assert.deepEqual(parseAddress('0.0.0.0:8000'), { host: '0.0.0.0', port: 8000 });
  assert.deepEqual(parseAddress('[::1]:443'), { host: '::1', port: 443 });
  for (const text of ['5000', 'a', ':99999', '::1:443', '']) {
    assert.throws(() => parseAddress(text), /is not an address/, text);
  }
});
