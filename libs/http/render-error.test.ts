import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RegistryError } from '#libs/oci/errors.ts';
import { renderError } from './render-error.ts';

test('a known error is rendered with its code, message and detail', () => {
  const error = new RegistryError('BLOB_UNKNOWN', { detail: { digest: 'x' } });
  const { status, body } = renderError(error);
  assert.equal(status, 404);
  assert.deepEqual(JSON.parse(body), {
    errors: [
      { code: 'BLOB_UNKNOWN', message: 'blob unknown to registry', detail: { digest: 'x' } },
    ],
  });
});

test('anything else says nothing of what went wrong inside', () => {
  const { status, body } = renderError(new Error('password=secret in /srv/data'));
  assert.equal(status, 500);
  assert.deepEqual(JSON.parse(body), { errors: [{ code: 'UNKNOWN', message: 'unknown error' }] });
});

test('a cause is never rendered', () => {
  const error = new RegistryError('UNAVAILABLE', { cause: new Error('secret'), retryAfter: 7 });
  const { headers, body } = renderError(error);
  assert.doesNotMatch(body, /secret/);
  assert.equal(headers['Retry-After'], '7');
});

test('405 tells the allowed methods', () => {
  const error = new RegistryError('UNSUPPORTED', { detail: { allow: ['GET', 'PUT'] } });
  assert.equal(renderError(error).headers.Allow, 'GET, PUT');
});
