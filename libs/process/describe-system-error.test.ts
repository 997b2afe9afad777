import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { describeSystemError } from './describe-system-error.ts';

function systemError(code: string, text: string, path: string): Error {
  return Object.assign(new Error(`${code}: ${text}, open '${path}'`), {
    code,
    path,
    syscall: 'open',
  });
}

test('what the system says is told as a sentence that begins with the path', async () => {
  const absent = '/nowhere/at/all';
  const error = await readFile(absent).catch((cause: unknown) => cause as Error);
  assert.equal(await describeSystemError(error as Error), `${absent}: does not exist`);
  const folder = await readFile('/').catch((cause: unknown) => cause as Error);
  assert.match(await describeSystemError(folder as Error), /is a folder; name the file in it$/);
});

test('the path is said once, whatever stands before', async () => {
  const cause = systemError('ENOENT', 'no such file or directory', '/root/docker/registry');
  const inTree = new Error(`/docker/registry: ${cause.message}`, { cause });
  assert.equal(await describeSystemError(inTree), '/root/docker/registry: does not exist');
  const named = new Error(`the keys cannot be read: ${cause.message}`, { cause });
  assert.equal(
    await describeSystemError(named),
    'the keys cannot be read: /root/docker/registry: does not exist',
  );
  const twice = new Error(
    `cannot read file /a/b: ${systemError('ENOENT', 'no such file', '/a/b').message}`,
    {
      cause: systemError('ENOENT', 'no such file', '/a/b'),
    },
  );
  assert.equal(await describeSystemError(twice), 'cannot read file /a/b: does not exist');
  const odd = systemError('ENOENT', 'no such file or directory', "/it's/here");
  assert.equal(await describeSystemError(odd), "/it's/here: does not exist");
  assert.equal(await describeSystemError(new Error('no: it is not')), 'no: it is not');
});

test('what this user may not do names the user who may', async (t) => {
  if (process.getuid === undefined) return;
  const isRoot = process.getuid() === 0;
  t.mock.method(process as Required<typeof process>, 'getuid', () => 4321);
  const error = systemError('EACCES', 'permission denied', '/etc/absent');
  assert.equal(
    await describeSystemError(error),
    isRoot
      ? '/etc/absent: permission denied; it belongs to root, and what is around it to user 4321, as whom this works there: chown -R 4321 /etc'
      : '/etc/absent: permission denied; it belongs to root, and this is user 4321: run the command as root',
  );
});
