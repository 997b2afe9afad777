import assert from 'node:assert/strict';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import bcrypt from 'bcryptjs';
import { startConfigured } from '../support/configured-stack.ts';
import { run } from '../support/run.ts';
import { launcher, servicePids } from '../support/stack.ts';
import { waitFor } from '../support/wait-for.ts';

test('users as docker_auth has them log in, with their labels, and follow the configuration', async () => {
  const hash = (password: string) => bcrypt.hashSync(password, 4);
  const stack = await startConfigured({
    users: { carol: 'of the file' },
    sections: () => ({
      portcullis: {
        users: {
          '': null,
          ann: { password: hash('the first'), labels: { team: ['red', 'blue'] } },
          bob: { password: hash('the second') },
          carol: { password: hash('of the configuration'), labels: { team: 'red' } },
        },
        acl: [{ match: { account: '/.+/', name: '${labels:team}/*' }, actions: ['pull', 'push'] }],
      },
    }),
  });
  const config = join(stack.dir, 'config.yml');
  const push = async (user: string, password: string, repository: string) => {
    const headers = {
      Authorization: `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`,
    };
    const target = `${stack.url}/v2/${repository}/blobs/uploads/`;
    return (await fetch(target, { method: 'POST', headers })).status;
  };
  try {
    assert.equal(await push('ann', 'the first', 'red/app'), 202);
    assert.equal(await push('ann', 'the first', 'blue/app'), 202);
    assert.equal(await push('ann', 'the first', 'green/app'), 403);
    assert.equal(await push('bob', 'the second', 'red/app'), 403);
    assert.equal(await push('bob', 'the first', 'red/app'), 401);
    assert.equal(await push('carol', 'of the file', 'red/app'), 202, 'labels stay');
    assert.equal(await push('carol', 'of the configuration', 'red/app'), 401);

    const list = await run(launcher, ['user', 'list', '--quiet', '--config', config]);
    assert.deepEqual(list.stdout.trim().split('\n').sort(), ['ann', 'bob', 'carol']);
    const change = await run(launcher, ['user', 'passwd', '--config', config, 'ann'], {
      input: 'x',
    });
    assert.equal(change.code, 1);
    assert.match(change.stderr, /"ann" stands in portcullis\.users/);
    const ask = ['acl', 'explain', '--config', config, '--account', 'ann', '--action', 'push'];
    assert.equal((await run(launcher, [...ask, '--repository', 'red/app'])).code, 0);
    assert.doesNotMatch((await run(launcher, ['config', 'check', config])).stdout, /\$2/);

    const text = await readFile(config, 'utf8');
    await writeFile(config, text.replace(/\$2[^\s"]+/, hash('the next')));
    await waitFor(
      'the new password',
      async () => (await push('ann', 'the next', 'red/app')) === 202,
    );
    assert.equal(await push('ann', 'the first', 'red/app'), 401);
    assert.doesNotMatch(stack.output(), /effective after a restart/);

    const restartAuth = async () => {
      const [before = 0] = await servicePids(stack.child.pid ?? 0, 'auth');
      process.kill(before, 'SIGKILL');
      await waitFor('the token service to be started again', async () => {
        const [now] = await servicePids(stack.child.pid ?? 0, 'auth');
        return now !== undefined && now !== before && (await push('carol', 'x', 'a/b')) === 401;
      });
    };
    await restartAuth();
    assert.equal(await push('ann', 'the first', 'red/app'), 401, 'started again');
    assert.equal(await push('ann', 'the next', 'red/app'), 202, 'started again');
    await writeFile(config, 'version: [');
    await restartAuth();
    assert.equal(await push('ann', 'the first', 'red/app'), 401, 'beside a broken file');
    assert.equal(await push('ann', 'the next', 'red/app'), 202, 'beside a broken file');
  } finally {
    await stack.remove();
  }
});

test('users of the configuration alone need no htpasswd file, and one without a password stops the start', async () => {
  const users = { ann: { password: bcrypt.hashSync('a password', 4) } };
  const stack = await startConfigured({
    sections: (dir) => ({
      auth: { htpasswd: { realm: 'Test', path: join(dir, 'none', 'htpasswd') } },
      portcullis: { users, auth: { state: join(dir, 'state') } },
    }),
  });
  try {
    const headers = { Authorization: `Basic ${Buffer.from('ann:a password').toString('base64')}` };
    assert.equal((await fetch(`${stack.url}/v2/`, { headers })).status, 200);
    assert.equal((await fetch(`${stack.url}/v2/`)).status, 401);
    const config = join(stack.dir, 'config.yml');
    const text = await readFile(config, 'utf8');
    await writeFile(config, text.replace(/password: .*$/m, 'labels: {}'));
    const checked = await run(launcher, ['config', 'check', config]);
    assert.equal(checked.code, 1);
    assert.match(checked.stderr, /portcullis\.users\.ann: has no password/);
  } finally {
    await stack.remove();
    await rm(stack.dir, { recursive: true, force: true });
  }
});
