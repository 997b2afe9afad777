import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  formatReference,
  isPathPart,
  isRepositoryName,
  parseReference,
  parseRepositoryName,
  parseTag,
} from './reference.ts';

const part = fc.stringMatching(/^[a-z0-9]{1,6}((\.|_|__|-{1,3})[a-z0-9]{1,4}){0,2}$/);

test('names of lower-case parts with separators inside are repository names', () => {
  fc.assert(
    fc.property(fc.array(part, { minLength: 1, maxLength: 5 }), (parts) => {
      assert.equal(parseRepositoryName(parts.join('/')), parts.join('/'));
      assert.ok(parts.every(isPathPart));
    }),
  );
});

test('whatever is accepted can never leave its place in a path', () => {
  fc.assert(
    fc.property(fc.string({ unit: fc.constantFrom(...'ab0/._-A %\0\\') }), (text) => {
      if (!isRepositoryName(text)) return;
      for (const name of text.split('/')) assert.match(name, /^[a-z0-9]/);
      assert.doesNotMatch(text, /\.\.|\/\/|[A-Z %\0\\]/);
    }),
    { numRuns: 2000 },
  );
});

test('invalid names are NAME_INVALID with a message that says why', () => {
  for (const name of [
    '',
    '/',
    'Team/app',
    'team//app',
    '/team',
    'team/',
    '.',
    '..',
    'team/..',
    '-team',
    'team-',
    'a..b',
    'a___b',
    'team/app ',
    'team/app\0',
    'team%2fapp',
    'teäm',
    '_catalog',
  ]) {
    assert.throws(() => parseRepositoryName(name), { code: 'NAME_INVALID' }, name);
  }
  assert.equal(parseRepositoryName('a'.repeat(255)).length, 255);
  assert.throws(() => parseRepositoryName('a'.repeat(256)), /longer than 255 characters/);
});

test('tags follow their grammar', () => {
  for (const tag of ['latest', 'v1.2', '_x', 'A', '0', 'a'.repeat(128), 'a-b_c.d']) {
    assert.equal(parseTag(tag), tag);
  }
  for (const tag of ['', '.a', '-a', 'a'.repeat(129), 'a/b', 'a b', 'ä', 'a\n']) {
    assert.throws(() => parseTag(tag), { code: 'TAG_INVALID' }, tag);
  }
});

test('a reference with a colon is a digest or nothing', () => {
  const digest = `sha256:${'0'.repeat(64)}`;
  assert.deepEqual(parseReference(digest), { kind: 'digest', digest });
  assert.equal(formatReference(parseReference(digest)), digest);
  assert.deepEqual(parseReference('latest'), { kind: 'tag', tag: 'latest' });
  assert.throws(() => parseReference('sha256:abc'), { code: 'DIGEST_INVALID' });
});
