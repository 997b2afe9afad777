import assert from 'node:assert/strict';
import { test } from 'node:test';
import { belongsToThisMachine, isOfOneMachine } from './local-filesystem.ts';

const types: readonly [name: string, type: number, ofOneMachine: boolean][] = [
  ['ext4', 0xef53, true],
  ['xfs', 0x58465342, true],
  ['btrfs', 0x9123683e, true],
  ['btrfs, extended by its sign', 0x9123683e | 0, true],
  ['tmpfs', 0x01021994, true],
  ['overlayfs', 0x794c7630, true],
  ['zfs', 0x2fc12fc1, true],
  ['nfs', 0x6969, false],
  ['cifs', 0xff534d42, false],
  ['cifs, extended by its sign', 0xff534d42 | 0, false],
  ['smb2', 0xfe534d42, false],
  ['fuse', 0x65735546, false],
  ['ceph', 0x00c36400, false],
  ['9p', 0x01021997, false],
  ['virtiofs', 0x6a656a63, false],
  ['gfs2', 0x01161970, false],
  ['ocfs2', 0x7461636f, false],
  ['lustre', 0x0bd00bd0, false],
];

for (const [name, type, expected] of types) {
  test(`${name} ${expected ? 'belongs to one machine' : 'may be used by several'}`, () => {
    assert.equal(isOfOneMachine(type), expected);
  });
}

test('a path that cannot be looked at belongs to nobody', async () => {
  assert.equal(await belongsToThisMachine('/no/such/path'), false);
});

test('the shared memory of Linux is a tmpfs', {
  skip: process.platform === 'linux' ? false : 'needs Linux',
}, async () => {
  assert.equal(await belongsToThisMachine('/dev/shm'), true);
});
