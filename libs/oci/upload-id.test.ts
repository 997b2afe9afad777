import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createUploadId, parseUploadId } from './upload-id.ts';

test('what is made can be read', () => {
  const id = createUploadId();
  assert.equal(parseUploadId(id), id);
});

test('what is no id names no upload', () => {
  const id = createUploadId();
  for (const text of [
    '',
    '..',
    'x',
    `${id}0`,
    ` ${id}`,
    id.replaceAll('-', ''),
    `A${id.slice(1)}`,
  ]) {
    assert.throws(() => parseUploadId(text), { code: 'BLOB_UPLOAD_UNKNOWN' }, text);
  }
});
