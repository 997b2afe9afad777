import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type FileValidator, fileValidatorsIn, formatFileValidators } from './file-validators.ts';

const digits = 'ab'.repeat(32);
const file = (path: string): FileValidator => ({
  path,
  state: {
    device: 2049n,
    inode: 12_345n,
    size: 71n,
    modified: 1_764_500_000_123_456_789n,
    changed: 1_764_500_000_123_456_790n,
  },
});
const read = (value: string) => fileValidatorsIn({ 'x-portcullis-validators': value });

describe('files of an answer', () => {
  test('are read as they were written', () => {
    const files = [
      file('repositories/team/app.x/_manifests/tags/v1.0_a-b/current/link'),
      file(`repositories/team/app.x/_manifests/revisions/sha256/${digits}/link`),
      file(`blobs/sha256/ab/${digits}/data`),
    ];
    assert.deepEqual(read(formatFileValidators(files)), files);
  });

  test('are none where a core of ours would not have named them', () => {
    assert.equal(fileValidatorsIn({}), undefined);
    for (const path of [
      '../etc/passwd',
      '/etc/passwd',
      'repositories/../../etc/passwd',
      'repositories/./x/link',
      '_portcullis/owner',
      'blobs//data',
      'blobs',
    ]) {
      assert.equal(read(formatFileValidators([file(path)])), undefined, path);
    }
    const good = formatFileValidators([file('blobs/x/data')]);
    for (const value of [
      '',
      ',',
      `${good},`,
      `${good};1`,
      good.replace('71', '-1'),
      good.replace('71', ''),
      Array.from({ length: 7 }, () => good).join(','),
    ]) {
      assert.equal(read(value), undefined, value);
    }
  });
});
