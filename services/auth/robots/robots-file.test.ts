import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import {
  assertFitsSomething,
  createRobotSecret,
  formatRobots,
  hashSecret,
  parseRobotAccess,
  parseRobots,
} from './robots-file.ts';

const hash = `sha256:${'a'.repeat(43)}`;
const entry = (more = '') =>
  `robots:\n  ci:\n    hash: ${hash}\n    access: ["repository:a:pull"]\n    created: 2026-01-01T00:00:00Z\n${more}`;

const path = '/state/robots.yml';

test('what is written is read again', () => {
  const robots = parseRobots(
    entry('    expires: 2027-01-01T00:00:00Z\n    comment: builds\n'),
    path,
  );
  assert.deepEqual(parseRobots(formatRobots(robots), path), robots);
  assert.equal(parseRobots(undefined, path).size, 0);
  assert.equal(parseRobots('', path).size, 0);
});

test('what makes no sense is named, and never half taken', () => {
  for (const text of [
    'robots: [1]',
    entry('    colour: red\n'),
    entry().replace(hash, 'secret'),
    entry().replace('repository:a:pull', 'repository:a:fly'),
    entry().replace('ci:', 'Not A Name:'),
    entry().replace('2026-01-01T00:00:00Z', 'yesterday'),
    `a: &a [x]\nrobots: { ci: { hash: "${hash}", access: *a, created: 2026-01-01 } }`,
  ]) {
    assert.throws(
      () => parseRobots(text, path),
      /^Error: \/state\/robots\.yml cannot be used: /,
      text,
    );
  }
});

test('access is of the usual form', () => {
  for (const scope of [
    'repository:a/*:pull',
    'repository:**:*',
    'repository:*-app/v?.x:pull',
    'repository:[a-f]*:pull',
    'repository:/^team-/:pull',
    'registry:catalog:*',
  ]) {
    assert.equal(parseRobotAccess([scope]).length, 1);
  }
  for (const scope of [
    '',
    'a',
    'repository:a:',
    'repository:a:pull repository:b:pull',
    'plugin:a:pull',
    'registry:catalog:pull',
    'repository:[:pull\n',
  ]) {
    assert.throws(() => parseRobotAccess([scope]), Error, scope);
  }
});

test('access that no repository can fit is not given, and can still be read', () => {
  const judge = (scope: string) => parseRobotAccess([scope]).forEach(assertFitsSomething);
  for (const name of ['a/*', '**', '*-app/v?.x', '[A-f]*', '/^Team/', 'team/${account}']) {
    judge(`repository:${name}:pull`);
  }
  judge('registry:catalog:*');
  for (const name of ['A/*', 'a//b', 'a/', 'a..b', '*/-']) {
    assert.throws(() => judge(`repository:${name}:pull`), /fits no repository/, name);
  }
});

test('secrets are long, never the same, and kept as a hash', () => {
  const made = Array.from({ length: 50 }, createRobotSecret);
  assert.equal(new Set(made.map(({ secret }) => secret)).size, 50);
  for (const { secret, hash: kept } of made) {
    assert.equal(hashSecret(secret), kept);
    // 256 bits in base64url, of which neither is in the other.
    assert.match(secret, /^prt_[\w-]{43}$/);
    const digest = createHash('sha256').update(secret).digest('base64url');
    assert.equal(kept, `sha256:${digest}`);
  }
});
