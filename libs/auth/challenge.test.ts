import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatBasicChallenge, formatBearerChallenge } from './challenge.ts';

test('a challenge names realm, service, scope and error', () => {
  assert.equal(
    formatBearerChallenge({
      realm: 'https://r.example/v2/_token',
      service: 'portcullis',
      scope: [{ type: 'repository', name: 'a', actions: ['pull', 'push'] }],
      error: 'insufficient_scope',
    }),
    'Bearer realm="https://r.example/v2/_token",service="portcullis",scope="repository:a:pull,push",error="insufficient_scope"',
  );
});

test('what is not asked for is left out', () => {
  assert.equal(
    formatBearerChallenge({ realm: 'x', service: 'y', scope: [] }),
    'Bearer realm="x",service="y"',
  );
});

test('a configured realm cannot break out of its quotes or its line', () => {
  assert.equal(
    formatBasicChallenge('My "own"\r\nX: y\\'),
    'Basic realm="My \\"own\\"X: y\\\\", charset="UTF-8"',
  );
});
