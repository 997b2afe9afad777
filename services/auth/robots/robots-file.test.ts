import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import {
  createRobotSecret,
  formatRobots,
  hashSecret,
  parseRobotAccess,
  parseRobots,
} from './robots-file.ts';

const hash = `sha256:${'a'.repeat(43)}`;
const entry = (more = '') =>
  `robots:\n  ci:\n    hash: ${hash}\n    access: ["repository:a:pull"]\n    created: 2026-01-01T00:00:00Z\n${more}`;

test('what is written is read again', () => {
  const robots = parseRobots(entry('    expires: 2027-01-01T00:00:00Z\n    comment: builds\n'));
  assert.deepEqual(parseRobots(formatRobots(robots)), robots);
  assert.equal(parseRobots(undefined).size, 0);
  assert.equal(parseRobots('').size, 0);
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
    assert.throws(() => parseRobots(text), Error, text);
  }
});

test('access is of the usual form', () => {
  for (const scope of ['repository:a/*:pull', 'repository:**:*', 'registry:catalog:*']) {
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
