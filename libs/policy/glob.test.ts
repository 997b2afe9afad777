import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { RE2JS } from 're2js';
import { compileGlob } from './glob.ts';

const none = new Map<string, readonly string[]>();

/** What a glob means, as an expression. */
function expressionOf(glob: string, value: string): RE2JS {
  const pieces = /\$\{[^}]*\}|\*\*|\*|\?|\[\^?[^\]]+\]|\\.|[\s\S]/g;
  const source = glob.replace(pieces, (piece) => {
    if (piece.startsWith('${')) return RE2JS.quote(value);
    if (piece === '**') return '.*';
    if (piece === '*') return '[^/]*';
    if (piece === '?') return '[^/]';
    if (piece.length > 2 && piece.startsWith('[')) return piece;
    return RE2JS.quote(piece.startsWith('\\') && piece.length > 1 ? piece.slice(1) : piece);
  });
  return RE2JS.compile(`^${source}$`, RE2JS.DOTALL);
}

test('a glob fits what the expression fits that it stands for', () => {
  const token = fc.constantFrom(
    ...['a', 'b', '/', '-', '*', '**', '?', '[ab]', '[^a]', '[a-c/]', '\\*', '${x}', '.', '😀'],
  );
  const glob = fc.array(token, { maxLength: 8 }).map((tokens) => tokens.join(''));
  const text = fc
    .array(fc.constantFrom('a', 'b', 'c', '/', '-', '*', '.', '😀', '\n'), { maxLength: 10 })
    .map((characters) => characters.join(''));
  const value = fc.constantFrom('a', 'ab', 'a/b', '.*', '');
  fc.assert(
    fc.property(glob, text, value, (pattern, given, one) => {
      const fits = compileGlob(pattern)(given, new Map([['x', [one]]]));
      assert.equal(fits, expressionOf(pattern, one).matches(given), `${pattern} of ${given}`);
    }),
    { numRuns: 20_000 },
  );
});

test('any of several values may stand for a placeholder, and none where there is none', () => {
  const fits = compileGlob('${x}/**');
  const values = new Map([['x', ['team', 'team/a', 'other']]]);
  for (const name of ['team/b', 'team/a/b', 'other/']) assert.equal(fits(name, values), true, name);
  for (const name of ['tea/b', 'teams/b', 'team']) assert.equal(fits(name, values), false, name);
  assert.equal(fits('team/b', none), false);
});

test('many stars are looked at once for each place', () => {
  const began = process.cpuUsage().user;
  for (let round = 0; round < 100; round += 1) {
    assert.equal(compileGlob('**a*'.repeat(60))(`${'a'.repeat(250)}/`, none), false);
  }
  // Microseconds; to try all ways would take centuries.
  assert.ok(process.cpuUsage().user - began < 5_000_000);
});

test('a set that is none is an error', () => {
  assert.throws(() => compileGlob('[z-a]'), /invalid character class range/);
});
