import assert from 'node:assert/strict';
import { test } from 'node:test';
import { configurationSchema } from './configuration.ts';
import { applyEnvironment } from './environment.ts';
import { formatRemark } from './remark.ts';

type Tree = Record<string, unknown>;

function apply(env: Record<string, string>, tree: Tree = {}) {
  const { warnings, problems } = applyEnvironment(tree, configurationSchema, env);
  return { tree, warnings: warnings.map(formatRemark), problems: problems.map(formatRemark) };
}

test('a variable sets the key of its name, and the value is YAML', () => {
  const { tree, warnings } = apply({
    REGISTRY_HTTP_ADDR: ':8080',
    REGISTRY_STORAGE_DELETE_ENABLED: 'true',
    REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY: '/srv',
    REGISTRY_HTTP_TLS_CIPHERSUITES: '[A, B]',
    REGISTRY_PORTCULLIS_TOKEN_TTL: '10m',
    UNRELATED: 'x',
    REGISTRY_CONFIGURATION_PATH: '/x',
  });
  assert.deepEqual(warnings, []);
  assert.deepEqual(tree, {
    http: { addr: ':8080', tls: { ciphersuites: ['A', 'B'] } },
    storage: { delete: { enabled: true }, filesystem: { rootdirectory: '/srv' } },
    portcullis: { token: { ttl: '10m' } },
  });
});

test('where text is meant it stays as it is written', () => {
  const { tree } = apply({ REGISTRY_HTTP_SECRET: '0123', REGISTRY_HTTP_HOST: 'https://a: b' });
  assert.deepEqual(tree, { http: { secret: '0123', host: 'https://a: b' } });
});

test('an error of a value that is no YAML names the variable, and repeats nothing of the value', () => {
  for (const [name, value] of [
    ['REGISTRY_REDIS', '{addr: h, password: S3CRET'],
    ['REGISTRY_HTTP_HEADERS', 'A: b: S3CRET'],
    ['REGISTRY_PORTCULLIS', '{a: *S3CRET}'],
  ] as const) {
    const [problem = ''] = apply({ [name]: value }).problems;
    assert.ok(problem.startsWith(`${name}: `) && !problem.includes('S3CRET'), problem);
  }
});

test('a variable wins over the file and leaves its neighbours alone', () => {
  const tree = { http: { addr: ':5000', host: 'x' } };
  assert.deepEqual(apply({ REGISTRY_HTTP_ADDR: ':1' }, tree).tree, {
    http: { addr: ':1', host: 'x' },
  });
});

test('list entries go by number, spelt after the file or after the original’s fields', () => {
  for (const name of ['FILE', 'FILECHECKERS']) {
    const { tree } = apply({ [`REGISTRY_HEALTH_${name}_0_FILE`]: '/x' });
    assert.deepEqual(tree, { health: { file: [{ file: '/x' }] } });
  }
  const hooks = apply({ REGISTRY_LOG_HOOKS_0_MAILOPTIONS_SMTP_ADDR: 'mail:25' }).tree;
  assert.deepEqual(hooks, { log: { hooks: [{ options: { smtp: { addr: 'mail:25' } } }] } });
  const events = apply({ REGISTRY_NOTIFICATIONS_EVENTCONFIG_INCLUDEREFERENCES: 'true' }).tree;
  assert.deepEqual(events, { notifications: { events: { includereferences: true } } });
});

test('a list entry beyond the end is an error that names the variable', () => {
  assert.match(
    apply({ REGISTRY_HEALTH_FILE_1_FILE: '/x' }).problems.join(),
    /REGISTRY_HEALTH_FILE_1_FILE: index 1 leaves a gap/,
  );
});

test('a bare name replaces the whole section, and later variables fill it', () => {
  const { tree } = apply(
    { REGISTRY_AUTH: 'htpasswd', REGISTRY_AUTH_HTPASSWD_PATH: '/h', REGISTRY_STORAGE: 's3' },
    { storage: { filesystem: {}, delete: { enabled: true } } },
  );
  assert.deepEqual(tree, { auth: { htpasswd: { path: '/h' } }, storage: 's3' });
});

test('read-only mode can be set in both ways', () => {
  const expected = { storage: { maintenance: { readonly: { enabled: true } } } };
  const long = { REGISTRY_STORAGE_MAINTENANCE_READONLY_ENABLED: 'true' };
  assert.deepEqual(apply(long).tree, expected);
  const short = { REGISTRY_STORAGE_MAINTENANCE_READONLY: '{"enabled":true}' };
  assert.deepEqual(apply(short).tree, expected);
});

test('headers are found whatever their case', () => {
  const { tree } = apply(
    {
      'REGISTRY_HTTP_HEADERS_Access-Control-Allow-Origin': '["*"]',
      REGISTRY_HTTP_HEADERS_NEW: '[x]',
    },
    { http: { headers: { 'access-control-allow-origin': ['y'] } } },
  );
  assert.deepEqual(tree, {
    http: { headers: { 'access-control-allow-origin': ['*'], new: ['x'] } },
  });
});

test('a variable that names no setting warns and changes nothing', () => {
  for (const name of ['REGISTRY_LGO_LEVEL', 'REGISTRY_LOG_LEVEL_X', 'REGISTRY_LOG_', 'REGISTRY_']) {
    const { tree, warnings } = apply({ [name]: 'x' });
    assert.equal(warnings.length, 1, name);
    assert.match(warnings[0] ?? '', new RegExp(`^${name}: `));
    assert.deepEqual(
      Object.values(tree).filter((value) => typeof value !== 'object'),
      [],
    );
  }
});

test('no variable reaches the prototype', () => {
  apply({ REGISTRY___PROTO___X: 'x', REGISTRY_HTTP_HEADERS___PROTO__: '[x]' });
  assert.equal(Object.hasOwn(Object.prototype, 'x'), false);
});

test('an entry of a list of texts goes by number as well, beside one text that stands for a list', () => {
  const { tree, warnings } = apply(
    {
      REGISTRY_HTTP_TLS_CLIENTCAS_0: 'a.pem',
      REGISTRY_HTTP_TLS_CLIENTCAS_1: 'b.pem',
      REGISTRY_REDIS_ADDRS_1: 'other:6379',
    },
    { redis: { addrs: 'one:6379' } },
  );
  assert.deepEqual(warnings, []);
  assert.deepEqual(tree, {
    http: { tls: { clientcas: ['a.pem', 'b.pem'] } },
    redis: { addrs: ['one:6379', 'other:6379'] },
  });
  assert.match(
    apply({ REGISTRY_REDIS_ADDRS_2: 'x:1' }).problems.join(),
    /REGISTRY_REDIS_ADDRS_2: index 2 leaves a gap/,
  );
});

test('of a variable that is ignored nothing is left', () => {
  const { tree, warnings } = apply({
    REGISTRY_LOG_HOOKS_0_OPTIONS_SMTP_X: 'x',
    REGISTRY_CATALOG_FOO: 'x',
  });
  assert.equal(warnings.length, 2);
  assert.deepEqual(tree, {});
});

test('what guards a registry is a problem where it names no setting, as in a file', () => {
  for (const [name, message] of [
    ['REGISTRY_PORTCULLIS_ACLL', 'there is no such setting; did you mean REGISTRY_PORTCULLIS_ACL?'],
    [
      'REGISTRY_PORTCULLIS_ACL_0_MATCH_ACOUNT',
      'there is no such setting; did you mean REGISTRY_PORTCULLIS_ACL_0_MATCH_ACCOUNT?',
    ],
    ['REGISTRY_PORTCULIS_ACL', 'there is no such setting; did you mean REGISTRY_PORTCULLIS_ACL?'],
    ['REGISTRY_ACL', 'there is no such setting; did you mean REGISTRY_PORTCULLIS_ACL?'],
    [
      'REGISTRY_AUHT_HTPASSWD_PATH',
      'there is no such setting; did you mean REGISTRY_AUTH_HTPASSWD_PATH?',
    ],
    ['REGISTRY_AUTHENTICATION', 'there is no such setting; did you mean REGISTRY_AUTH?'],
    ['REGISTRY_AUHT', 'there is no such setting; did you mean REGISTRY_AUTH?'],
    ['REGISTRY_AUTHS', 'there is no such setting; did you mean REGISTRY_AUTH?'],
    [
      'REGISTRY_TLS_CERTIFICATE',
      'there is no such setting; did you mean REGISTRY_HTTP_TLS_CERTIFICATE?',
    ],
    [
      'REGISTRY_HTPASSWD_PATH',
      'there is no such setting; did you mean REGISTRY_AUTH_HTPASSWD_PATH?',
    ],
    ['REGISTRY_AUTH_HTPASSWD_FILE', 'there is no such setting'],
    ['REGISTRY_HTTP_AUTH', 'there is no such setting; did you mean REGISTRY_AUTH?'],
    [
      'REGISTRY_HTTP_TSL_CERTIFICATE',
      'there is no such setting; did you mean REGISTRY_HTTP_TLS_CERTIFICATE?',
    ],
    [
      'REGISTRY_STORAGE_FILESYSTEM_ROOTDIR',
      'there is no such setting; did you mean REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY?',
    ],
    ['REGISTRY_PORTCULLIS_DRAINDELAY_X', 'there is no such setting'],
    ['REGISTRY_AUTH_LDAP', 'there is no such setting'],
    ['REGISTRY_AUTH_HTPASSWD_PATH_FILE', 'there is no such setting'],
    ['REGISTRY_HTTP_TLS_CERTIFICATE_FILE', 'there is no such setting'],
    [
      'REGISTRY_AUTH__HTPASSWD_PATH',
      'there is no such setting; did you mean REGISTRY_AUTH_HTPASSWD_PATH?',
    ],
    [
      'REGISTRY_STORAGE_FILESYSTEM_ROOT_DIRECTORY',
      'there is no such setting; did you mean REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY?',
    ],
    ['REGISTRY_AUTH.HTPASSWD.PATH', 'there is no such setting; write path below auth, htpasswd'],
  ] as const) {
    const { problems, warnings, tree } = apply({ [name]: 'x' });
    assert.deepEqual([problems, warnings, tree], [[`${name}: ${message}`], [], {}]);
  }
});

test('variables of other programs are told, and no problem', () => {
  for (const name of [
    'REGISTRY_PATH',
    'REGISTRY_AUTH_FILE',
    'REGISTRY_HTTP_PROXY',
    'REGISTRY_HTTPS_PROXY',
    'REGISTRY_USER',
  ]) {
    const { problems, warnings } = apply({ [name]: 'x' });
    assert.deepEqual([problems, warnings.length], [[], 1], name);
  }
});

test('lists of more than ten entries are set in the order of their numbers', () => {
  const env = Object.fromEntries(
    Array.from({ length: 12 }, (_, index) => [`REGISTRY_HEALTH_FILE_${index}_FILE`, `/${index}`]),
  );
  const { problems, tree } = apply(env);
  assert.deepEqual(problems, []);
  const { file } = tree.health as { file: { file: string }[] };
  assert.deepEqual(
    file.map((one) => one.file),
    Object.values(env),
  );
});

test('what Kubernetes tells of services of that name is no setting, and nothing to speak of', () => {
  const { problems, warnings, tree } = apply({
    REGISTRY_PORTCULLIS_SERVICE_HOST: '10.0.0.1',
    REGISTRY_PORTCULLIS_SERVICE_PORT: '443',
    REGISTRY_PORTCULLIS_SERVICE_PORT_HTTPS: '443',
    REGISTRY_PORTCULLIS_PORT: 'tcp://10.0.0.1:443',
    REGISTRY_PORTCULLIS_PORT_443_TCP: 'tcp://10.0.0.1:443',
    REGISTRY_PORTCULLIS_PORT_443_TCP_ADDR: '10.0.0.1',
    REGISTRY_SERVICE_HOST: '10.0.0.1',
    REGISTRY_REDIS_SERVICE_HOST: '10.0.0.1',
    REGISTRY_REDIS_PORT: 'tcp://10.0.0.1:6379',
    REGISTRY_MIDDLEWARE_SERVICE_HOST: '10.0.0.1',
    REGISTRY_PORT: 'tcp://10.0.0.1:5000',
  });
  assert.deepEqual([problems, warnings, tree], [[], [], {}]);
});

test('where anything may stand a variable may name what stands there', () => {
  const { tree, warnings } = apply(
    { REGISTRY_LOG_FIELDS_SERVICE: 'x', REGISTRY_LOG_FIELDS_A_B: '1' },
    { log: { fields: { service: 'registry' } } },
  );
  assert.deepEqual(warnings, []);
  assert.deepEqual(tree, { log: { fields: { service: 'x', a: { b: 1 } } } });
});
