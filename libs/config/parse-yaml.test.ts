import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseYaml, YamlError } from './parse-yaml.ts';

test('a number or a boolean that is written in an unusual form is text, as a key too', () => {
  assert.deepEqual(parseYaml('[0042, 1e3, 0x10, +5, 1.0, 12345678901234567890, True]'), [
    ...['0042', '1e3', '0x10', '+5', '1.0', '12345678901234567890', 'True'],
  ]);
  assert.deepEqual(parseYaml('{ 0777: 1, 42: 2 }'), { '0777': 1, 42: 2 });
  assert.deepEqual(parseYaml('[42, 0.1, -7, true, false, null, "0042"]'), [
    ...[42, 0.1, -7, true, false, null, '0042'],
  ]);
});

test('merge keys are merged, and what stands beside them counts', () => {
  const text = 'a: &a { x: 1, y: 2 }\nb: { <<: *a, y: 3 }\nc: { <<: [*a, { z: 4 }] }\n';
  assert.deepEqual(parseYaml(text), {
    a: { x: 1, y: 2 },
    b: { x: 1, y: 3 },
    c: { x: 1, y: 2, z: 4 },
  });
});

test('an alias that is named too often is an error', () => {
  const lines = ['a0: &a0 [x, x, x, x, x, x, x, x, x, x]'];
  for (let level = 1; level < 8; level += 1) {
    const names = Array.from({ length: 10 }, () => `*a${level - 1}`).join(', ');
    lines.push(`a${level}: &a${level} [${names}]`);
  }
  assert.throws(() => parseYaml(lines.join('\n')), YamlError);
});

test('a tag that nobody knows is no value, and what must be in quotes is told so', () => {
  for (const [text, message] of [
    ['a: 1\nb: !bob\n', /a value that begins with ! is a tag of YAML; put it in quotes/],
    ['a: !@admins "x"\n', /a value that begins with ! is a tag/],
    ['a: [*]\n', /must be in quotes, as "\*" or "@admins"/],
    ['a: @admins\n', /must be in quotes/],
  ] as const) {
    assert.throws(() => parseYaml(text), message, text);
  }
  assert.deepEqual(parseYaml('a: !!str 1\nb: "!bob"\n'), { a: '1', b: '!bob' });
});
