import assert from 'node:assert/strict';
import { chmod, mkdir, rename, stat, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { startConfigured } from '../support/configured-stack.ts';
import { mustRun } from '../support/run.ts';
import { launcher, type Stack, servicePids } from '../support/stack.ts';
import { createTokenClient } from '../support/token-client.ts';
import { waitFor } from '../support/wait-for.ts';

const [uid, gid] = [4321, 4322];
const password = 'a good password';

/** A stack that root starts and somebody else serves. */
async function startAsOwner(): Promise<{ stack: Stack; state: string }> {
  let state = '';
  const stack = await startConfigured({
    users: { bob: password },
    sections: (dir) => {
      state = join(dir, 'portcullis-state');
      return { portcullis: { user: `${uid}:${gid}`, audit: join(dir, 'audit.log') } };
    },
    prepare: async (dir) => {
      await chmod(dir, 0o755);
      await mustRun('chown', ['-R', `${uid}:${gid}`, join(dir, 'registry')]);
    },
  });
  return { stack, state };
}

describe('root that opens, and somebody else who serves', () => {
  test('what root types while it serves is taken: keys, robots, revocations, and it is audited', async () => {
    const { stack, state } = await startAsOwner();
    try {
      assert.equal((await stat(state)).uid, uid);
      const client = createTokenClient(stack.url);
      const first = await client.get('bob', password);
      assert.equal(first.status, 200);
      const create = ['robot', 'create', 'ci', '--access', 'repository:a:pull', '--state', state];
      const secret = (await mustRun(launcher, create)).trim();
      await waitFor('the robot', async () => (await client.get('robot+ci', secret)).status === 200);
      await mustRun(launcher, ['token', 'revoke', 'bob', '--state', state]);
      await waitFor('the token to end', async () => (await client.use(first.token)) === 401);
      const second = await client.get('bob', password);
      const list = await mustRun(launcher, ['keys', 'list', '--state', state]);
      const kid = /^[\w-]{43}/m.exec(list)?.[0] ?? '';
      await mustRun(launcher, ['keys', 'rotate', '--grace', '0', '--state', state]);
      await mustRun(launcher, ['keys', 'revoke', '--state', state, kid]);
      await waitFor('the key to end', async () => (await client.use(second.token)) === 401);
      const third = await client.get('bob', password, { scope: 'repository:a:pull,push' });
      assert.equal(await client.use(third.token), 200);
      assert.equal(await client.use(third.token, 'a/blobs/uploads/', 'POST'), 202);
      assert.equal((await stat(join(stack.dir, 'audit.log'))).uid, uid);
      assert.doesNotMatch(stack.output(), /audit log cannot be written|skipping/);
    } finally {
      await stack.remove();
    }
  });

  test('a tree of which something is root’s is served as root, which is said with the way out', async () => {
    const stack = await startConfigured({
      sections: () => ({ portcullis: { user: 'owner' } }),
      prepare: async (dir) => {
        const tree = join(dir, 'registry/docker/registry/v2');
        await mkdir(join(tree, 'repositories/old'), { recursive: true });
        await mkdir(join(tree, 'repositories/new'));
        await mustRun('chown', ['-R', `${uid}:${gid}`, join(dir, 'registry')]);
        await mustRun('chown', ['0:0', join(tree, 'repositories/old')]);
      },
    });
    try {
      const said =
        /repositories\/old belongs to root, not to 4321.*served as root.*chown -R 4321:4322 /g;
      assert.equal(stack.output().match(said)?.length, 1);
      for (const name of ['old/app', 'new/app']) {
        const opened = await fetch(`${stack.url}/v2/${name}/blobs/uploads/`, { method: 'POST' });
        assert.equal(opened.status, 202);
      }
    } finally {
      await stack.remove();
    }
  });

  test('a tree of several others is served as its owner', async () => {
    const stack = await startConfigured({
      sections: () => ({ portcullis: { user: 'owner' } }),
      prepare: async (dir) => {
        const tree = join(dir, 'registry/docker/registry/v2');
        await chmod(dir, 0o755);
        await mkdir(join(tree, 'repositories/theirs'), { recursive: true });
        await mustRun('chown', ['-R', `${uid}:${gid}`, join(dir, 'registry')]);
        await mustRun('chown', ['4323:4323', join(tree, 'repositories/theirs')]);
      },
    });
    try {
      assert.match(stack.output(), /serving as 4321:4322/);
      assert.match(stack.output(), /repositories\/theirs belongs neither to 4321/);
    } finally {
      await stack.remove();
    }
  });

  test('a link that whoever serves has laid leads root nowhere', async () => {
    const { stack, state } = await startAsOwner();
    try {
      const mine = join(stack.dir, 'root-only');
      await mkdir(mine, { mode: 0o700 });
      await writeFile(join(mine, 'id.pem'), 'a key of root', { mode: 0o600 });
      const as = ['setpriv', '--reuid', `${uid}`, '--regid', `${gid}`, '--clear-groups'];
      await mustRun('env', [...as, 'mv', join(state, 'keys'), join(state, 'keys.old')]);
      await symlink(mine, join(state, 'keys'));
      await mustRun('chown', ['-h', `${uid}:${gid}`, join(state, 'keys')]);
      const [auth] = await servicePids(stack.child.pid ?? 0, 'auth');
      assert.ok(auth !== undefined);
      process.kill(auth, 'SIGKILL');
      await waitFor('auth to be started again', () => /restarting it/.test(stack.output()));
      await new Promise((resolve) => setTimeout(resolve, 3000));
      const { uid: owner, mode } = await stat(join(mine, 'id.pem'));
      assert.deepEqual([owner, mode & 0o777], [0, 0o600]);
      await assert.rejects(stat(join(mine, 'first.pem')), { code: 'ENOENT' });
      await assert.rejects(stat(join(mine, 'identity.key')), { code: 'ENOENT' });
      assert.equal((await stat(mine)).uid, 0);
      await rename(join(state, 'keys.old'), join(state, 'keys.back'));
    } finally {
      await stack.remove();
    }
  });
});
