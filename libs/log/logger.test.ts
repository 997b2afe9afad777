import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type LogFormat, logFormats } from './format-line.ts';
import { createLogger } from './logger.ts';

function lineOf(
  format: LogFormat,
  write: (log: ReturnType<typeof createLogger>) => void,
  level: 'info' | 'debug' = 'info',
): string {
  let text = '';
  const log = createLogger(
    { level, format, fields: { service: 'registry' }, process: 'core' },
    {
      write(line) {
        text += line;
      },
    },
  );
  write(log);
  return text;
}

test('text is what distribution’s users know', () => {
  const line = lineOf('text', (log) =>
    log.info({ status: 200, path: '/v2/', agent: 'a b' }, 'request'),
  );
  assert.match(
    line,
    /^time="[^"]+" level=info msg="request" service=registry process=core status=200 path=\/v2\/ agent="a b"\n$/,
  );
});

test('fields that are called as ours are stand behind fields., as logrus has it', () => {
  let text = '';
  const fields = { time: 'Y', msg: 'Z', level: 'none', process: 'P' };
  const output = { write: (line: string) => (text += line) };
  createLogger({ level: 'info', format: 'json', fields, process: 'core' }, output).info('x');
  const { time, ...line } = JSON.parse(text) as Record<string, unknown>;
  assert.match(String(time), /^\d{4}-/);
  assert.equal(text.match(/"(?:time|msg|level|process)":/g)?.length, 4, text);
  assert.deepEqual(
    [line.msg, line.level, line.process, line['fields.time'], line['fields.msg']],
    ['x', 'info', 'core', 'Y', 'Z'],
  );
});

test('json and logstash are one object a line', () => {
  const json = JSON.parse(lineOf('json', (log) => log.warn('x'))) as Record<string, unknown>;
  assert.deepEqual([json.level, json.msg, json.service], ['warn', 'x', 'registry']);
  const logstash = JSON.parse(lineOf('logstash', (log) => log.warn('x'))) as Record<
    string,
    unknown
  >;
  assert.deepEqual([logstash['@version'], logstash.message], ['1', 'x']);
});

test('secrets are starred in every format', () => {
  for (const format of logFormats) {
    const line = lineOf(format, (log) =>
      log.info({ password: 'pw1', headers: { authorization: 'Basic pw2', cookie: 'pw3' } }, 'x'),
    );
    assert.doesNotMatch(line, /pw\d/);
  }
});

test('what a client sends cannot forge a line or move the cursor', () => {
  const odd = 'a\r\nlevel=error\u009b2J\u202e\u007f';
  const line = lineOf('text', (log) => log.info({ agent: odd }, odd));
  assert.equal(line.split('\n').length, 2);
  assert.doesNotMatch(line.trimEnd(), /[\p{Cc}\p{Cf}]/u);
});

test('an error is written with its cause, below the level nothing is', () => {
  const failed = new Error('outer', { cause: new Error('inner') });
  assert.match(
    lineOf('text', (log) => log.error({ err: failed }, 'x')),
    /outer.*inner/,
  );
  assert.equal(
    lineOf('text', (log) => log.debug('x')),
    '',
  );
  const telling = Object.assign(new Error('/a: is gone', { cause: new Error('is gone') }), {
    code: 'x',
  });
  const line = lineOf('text', (log) => log.error({ err: telling }, 'x'));
  assert.equal(line.match(/is gone/g)?.length, 1, 'what the error itself says of its cause');
});

test('the stack of what the system or a peer says is written at debug only, that of a fault of ours always', () => {
  const refused = Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' });
  const wrapped = new Error('Redis is away', { cause: refused });
  for (const format of logFormats) {
    for (const err of [refused, wrapped]) {
      const line = lineOf(format, (log) => log.warn({ err }, 'x'));
      assert.match(line, /ECONNREFUSED/);
      assert.doesNotMatch(line, /logger\.test\.ts/);
      assert.match(
        lineOf(format, (log) => log.warn({ err }, 'x'), 'debug'),
        /logger\.test\.ts/,
      );
    }
    const fault = lineOf(format, (log) => log.error({ err: new TypeError('x is undefined') }, 'x'));
    assert.match(fault, /logger\.test\.ts/);
  }
});

test('what a peer said to make an error is not written, only how much', () => {
  const rawPacket = Buffer.alloc(100_000, 'x');
  const failed = Object.assign(new Error('Parse Error'), { code: 'HPE_INVALID', rawPacket });
  const line = lineOf('json', (log) => log.warn({ err: failed }, 'x'));
  const { err } = JSON.parse(line) as { err: Record<string, unknown> };
  assert.deepEqual(
    [err.code, err.message, err.rawPacket],
    ['HPE_INVALID', 'Parse Error', '100000 bytes'],
  );
});
