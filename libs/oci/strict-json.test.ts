import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { countValues, parseStrictJson } from './strict-json.ts';

const parse = (text: string) => parseStrictJson(text, { maxDepth: 64 });

test('what has no duplicate keys is read as JSON.parse reads it', () => {
  fc.assert(
    fc.property(fc.jsonValue(), fc.nat({ max: 3 }), (value, indent) => {
      const text = JSON.stringify(value, null, indent);
      assert.deepEqual(parse(text), JSON.parse(text));
    }),
  );
});

test('duplicate keys are refused at any depth and however they are written', () => {
  for (const text of [
    '{"a":1,"a":2}',
    '{"x":{"a":1,"b":[{}],"a":2}}',
    '[{"a":1, "a" : 2}]',
    '{"a":1,"\\u0061":2}',
    '{"\\"":1,"\\u0022":2}',
    '{"__proto__":1,"__proto__":2}',
  ]) {
    assert.throws(() => parse(text), /duplicate key/, text);
  }
});

test('duplicate keys are refused behind numbers and blanks of any length', () => {
  const lengths = fc.integer({ min: 0, max: 60 });
  fc.assert(
    fc.property(lengths, lengths, lengths, (digits, before, after) => {
      const text = `{"a":1${'0'.repeat(digits)},${' '.repeat(before)}"a"${'\n'.repeat(after)}:1}`;
      assert.throws(() => parse(text), /duplicate key/);
      assert.equal(countValues(`[${text},${text}]`, 100), 7);
    }),
  );
});

test('equal keys of different objects, and strings like keys, are no duplicates', () => {
  for (const text of ['[{"a":1},{"a":2}]', '{"a":{"a":1}}', '{"a":"a","b":"a"}', '["a","a"]']) {
    assert.deepEqual(parse(text), JSON.parse(text));
  }
});

test('deep nesting and large strings end in an answer', () => {
  assert.throws(() => parse('['.repeat(65) + ']'.repeat(65)), /nested deeper than 64/);
  assert.throws(() => parse('['.repeat(100_000)), SyntaxError);
  const long = 'x\\n'.repeat(1_000_000);
  assert.equal((parse(`{"a":"${long}"}`) as { a: string }).a.length, 2_000_000);
});
