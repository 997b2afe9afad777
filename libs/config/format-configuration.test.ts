import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { inspect } from 'node:util';
import fc from 'fast-check';
import { parse, stringify } from 'yaml';
import { type ZodType, z } from 'zod';
import { createTemporaryFolder } from '../../test/support/temporary-folder.ts';
import { formatDuration } from '../values/duration.ts';
import { changedKeys } from './compare-configurations.ts';
import { configurationSchema } from './configuration.ts';
import { formatConfiguration } from './format-configuration.ts';
import { loadConfiguration } from './load-configuration.ts';
import { describeSchema, metaOf } from './walk-schema.ts';

async function load(text: string) {
  await using folder = await createTemporaryFolder();
  const path = join(folder.path, 'config.yml');
  await writeFile(path, text);
  return await loadConfiguration(path, {});
}

/** Every setting that holds a secret, and every place where one may be hidden. */
const withSecrets = `
version: 0.1
storage: { s3: { accesskey: hidden01, secretkey: hidden02, options: { sessiontoken: hidden03 } } }
log:
  fields: { service: registry, api_key: hidden04 }
  hooks: [{ type: mail, options: { smtp: { password: hidden05 } } }]
http: { secret: hidden06-is-long-enough }
auth: { htpasswd: { path: /h } }
redis:
  addr: redis:6379
  password: hidden07
  sentinelpassword: hidden08
  pool: { passwort: hidden24, sentinelpasword: hidden25 }
  options: { password: hidden09, nested: [{ Password: hidden10, pw: hidden21, poolsize: 3 }] }
notifications:
  endpoints: [{ name: a, url: "https://user:hidden11@x/e?room=7&token=hidden22", headers: { Authorization: [Bearer hidden12] } }]
health:
  http: [{ uri: "http://user:hidden13@x/live?key=hidden23", headers: { Authorization: hidden14, X: [hidden15] } }]
proxy: { remoteurl: "https://u:hidden16@x", password: hidden17 }
reporting: { bugsnag: { apikey: hidden18 }, newrelic: { licensekey: hidden19 } }
middleware: { storage: [{ name: cloudfront, options: { privatekey: hidden20, baseurl: x } }] }
`;

describe('a secret', () => {
  test('is redacted wherever the configuration is shown', async () => {
    const { configuration } = await load(withSecrets);
    const shown = formatConfiguration(configuration);
    assert.doesNotMatch(shown, /hidden\d/);
    // In what is declared a secret none is seen by accident either.
    const { redis, notifications, health, http } = configuration;
    const declared = [redis?.password, notifications, health.http?.[0]?.headers, http.secret];
    for (const text of [
      JSON.stringify(declared),
      inspect(declared, { depth: 9 }),
      `${http.secret}`,
    ]) {
      assert.doesNotMatch(text, /hidden(?!11|22)\d/);
    }
    assert.match(shown, /poolsize: 3/);
    assert.match(shown, /service: registry/);
    assert.match(shown, /https:\/\/user:\*\*\*@x\/e\?room=7&token=\*\*\*/);
    assert.equal(http.secret?.reveal(), 'hidden06-is-long-enough');
  });

  test('that is redacted is refused: it was copied from where it is not shown', async () => {
    for (const lines of [
      'http: { secret: "***" }',
      'redis: { addr: x, password: "***" }',
      'health: { http: [{ uri: "http://x", headers: { A: ["***"] } }] }',
      'health: { http: [{ uri: "http://user:***@x/" }] }',
      'health: { http: [{ uri: "http://x/?key=***" }] }',
    ]) {
      await assert.rejects(
        load(`version: 0.1\nstorage: inmemory\n${lines}\n`),
        /\*\*\* is what stands for a secret where it is shown/,
        lines,
      );
    }
  });

  test('that changed is a change', async () => {
    const of = async (secret: string) =>
      (await load(`version: 0.1\nstorage: inmemory\nhttp: { secret: ${secret} }\n`)).configuration;
    assert.deepEqual(changedKeys(await of('one'), await of('one')), []);
    assert.deepEqual(changedKeys(await of('one'), await of('two')), ['http.secret']);
  });
});

/** Any tree of settings that the schema takes, without secrets. */
function anyInput(schema: ZodType): fc.Arbitrary<unknown> {
  const node = describeSchema(schema);
  const { bounds } = metaOf(schema);
  const word = fc.oneof(
    fc.stringMatching(/^[a-z][a-z0-9 :#&*!|>%@`'"{}[\],?\\-]{0,12}[a-z0-9]$/),
    fc.constantFrom(
      'yes',
      'no',
      'null',
      '~',
      'true',
      '0123',
      '1e3',
      '0x1f',
      '1:30',
      '- a',
      'ä\n b',
    ),
  );
  switch (node.kind) {
    case 'text':
      return word;
    case 'texts':
      return fc.oneof(word, fc.array(word, { maxLength: 3 }));
    case 'flag':
      return fc.constantFrom(true, false, 'true', 'false');
    case 'count':
      return fc.integer({ min: bounds?.least ?? 0, max: bounds?.most ?? 0 });
    case 'duration':
      return fc.oneof(
        fc.integer({ min: bounds?.least ?? 0, max: bounds?.most ?? 0 }).map(formatDuration),
        fc.constantFrom(formatDuration(bounds?.least ?? 0), formatDuration(bounds?.most ?? 0)),
        ...(bounds?.orZero ? [fc.constantFrom(0, '0', '0s')] : []),
      );
    case 'anything':
      return fc.dictionary(fc.constantFrom('a', 'b'), fc.oneof(word, fc.integer()));
    case 'array':
      return fc.array(anyInput(node.element), { maxLength: 2 });
    case 'record':
      return fc.dictionary(fc.constantFrom('a', 'b-c'), anyInput(node.value), { maxKeys: 2 });
    case 'object': {
      const entries = Object.entries(node.shape).filter(([, child]) => isOpenToAny(child));
      const required = entries.flatMap(([key, child]) => (isRequired(child) ? [key] : []));
      return fc.record(Object.fromEntries(entries.map(([key, child]) => [key, anyInput(child)])), {
        requiredKeys: required,
      });
    }
    case 'secret':
    case 'secrets':
    case 'other':
      return choicesOf(schema);
  }
}

const isRequired = (schema: ZodType) => !schema.safeParse(undefined).success;
/** False for secrets, which are not printed. */
function isOpenToAny(schema: ZodType): boolean {
  const node = describeSchema(schema);
  if (node.kind === 'record') return isOpenToAny(node.value);
  return node.kind !== 'secret' && node.kind !== 'secrets';
}

/** What is neither of our values nor a container: a choice, or a form of its own. */
function choicesOf(schema: ZodType): fc.Arbitrary<unknown> {
  const samples = [
    ...['error', 'warn', 'info', 'debug', 'text', 'json', 'logstash', 'tcp', 'unix', 'tls1.3'],
    ...['all', 'none', 'allow', 'deny', 'on', 'off', 'auto', 'owner', '1000:1000', 'libtrust'],
    ...['notifications', '0.1', 'gitlab', 3, true, ['10.0.0.0/8'], {}],
  ];
  const fit = samples.filter((sample) => schema.safeParse(sample).success);
  if (fit.length === 0) throw new Error(`nothing fits ${z.toJSONSchema(schema)}`);
  return fc.constantFrom(...fit);
}

test('what config check prints is a configuration that means the same', async () => {
  await fc.assert(
    fc.property(anyInput(configurationSchema), (tree) => {
      const first = configurationSchema.safeParse(parse(stringify(tree)));
      // Two workloads of one name, and the like.
      fc.pre(first.success);
      for (const explain of [false, true]) {
        const printed = formatConfiguration(first.data, { explain });
        assert.deepEqual(configurationSchema.parse(parse(printed)), first.data);
      }
    }),
    { numRuns: 300 },
  );
});

test('what config check --explain prints says what each key means', async () => {
  const { configuration } = await load(`version: 0.1
storage: { inmemory: {} }
portcullis:
  acl: [{ match: { account: a, labels: { team: x } }, actions: [pull] }, { actions: [push] }]
`);
  const printed = formatConfiguration(configuration, { explain: true });
  assert.match(printed, /^ {4}# How long a token lives\.\n {4}ttl: 5m$/m);
  assert.match(printed, /^ +# Account, or @group.*\n +account: a$/m);
  assert.equal(printed.match(/# What is allowed or denied/g)?.length, 1, 'in the first of a list');
  assert.equal(formatConfiguration(configuration).includes('#'), false);
});

test('what is printed of a configuration of the original starts again as it is', async () => {
  const text = `version: 0.1
storage: { filesystem: { rootdirectory: /srv }, maintenance: { uploadpurging: { age: 168h } } }
http: { addr: ":5000", draintimeout: 1m30s, headers: { X-Empty: [""] } }
health: { storagedriver: { enabled: true, interval: 10s } }
portcullis: { gc: { interval: 720h }, acl: [{ match: { account: "" }, actions: [pull] }] }
auth: { none: }
`;
  const first = await load(text);
  const printed = formatConfiguration(first.configuration);
  assert.match(printed, /draintimeout: 1m30s/);
  assert.match(printed, /interval: 720h/);
  const second = await load(printed);
  assert.deepEqual(second.configuration, first.configuration);
  assert.deepEqual(second.diagnostics, first.diagnostics);
});
