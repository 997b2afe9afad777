import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseRepositoryName } from '#libs/oci/reference.ts';
import type { UploadId } from '#libs/oci/upload-id.ts';
import { createOpenUploads } from './open-uploads.ts';

test('the most that one has is found among any number', () => {
  const open = createOpenUploads(1000);
  for (let n = 0; n < 200_000; n += 1) {
    const repository = parseRepositoryName(`r${n % 199_999}`);
    open.add({ id: `${n}` as UploadId, repository, subject: '', startedAt: 0, empty: true });
  }
  assert.equal(open.most(), 2);
});
