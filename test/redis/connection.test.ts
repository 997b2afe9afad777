import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { redisSettings } from '#libs/config/sections/redis.ts';
import { connectRedis, type RedisConnection } from '#libs/redis/connection.ts';
import { RedisAwayError } from '#libs/redis/redis-away.ts';
import { Secret } from '#libs/values/secret.ts';
import { unattended } from '../../services/core/sessions/locks.ts';
import { createRedisLocks } from '../../services/core/sessions/redis/redis-locks.ts';
import { createRedisSessionStore } from '../../services/core/sessions/redis/redis-sessions.ts';
import { createWake } from '../../services/core/sessions/redis/wake.ts';
import { makeSession } from '../contract/session-store.ts';
import { createRecordingLog } from '../support/recording-log.ts';
import {
  type RedisServer,
  type SentinelDeployment,
  startRedisServer,
  startSentinels,
} from '../support/redis.ts';
import { mustRun } from '../support/run.ts';
import { launcher } from '../support/stack.ts';
import { createTemporaryFolder, type TemporaryFolder } from '../support/temporary-folder.ts';
import { waitFor } from '../support/wait-for.ts';

const probe = { name: 'portcullis_test', lua: `return redis.call('SET', KEYS[1], ARGV[1])` };

describe('Redis with TLS and a user that may do little', () => {
  let folder: TemporaryFolder;
  let server: RedisServer;
  const connections: RedisConnection[] = [];

  before(async () => {
    folder = await createTemporaryFolder();
    const certificates = join(folder.path, 'certs');
    await mustRun(launcher, ['certs', certificates, 'localhost', '127.0.0.1']);
    const ca = join(certificates, 'ca.crt');
    server = await startRedisServer({
      lines: [
        'tls-port PORT',
        `tls-cert-file ${join(certificates, 'site.crt')}`,
        `tls-key-file ${join(certificates, 'site.key')}`,
        `tls-ca-cert-file ${ca}`,
        'tls-auth-clients no',
        // As docs/coordination.md says.
        'user portcullis on >secret ~portcullis:* &portcullis:* +@scripting +@read +@write +@pubsub +@connection +time +info',
        'user default off',
      ],
      login: ['--tls', '--cacert', ca],
    });
  });

  after(async () => {
    for (const redis of connections) await redis.close();
    await server?.remove();
    await folder?.remove();
  });

  const connect = async (password: string) => {
    const recording = createRecordingLog();
    const settings = redisSettings({
      db: 0,
      dialtimeout: 2000,
      readtimeout: 2000,
      addr: `127.0.0.1:${server.port}`,
      username: 'portcullis',
      password: new Secret(password),
      tls: { rootcas: [join(folder.path, 'certs', 'ca.crt')] },
    });
    assert.ok(settings !== undefined);
    const redis = await connectRedis(settings, recording.log);
    connections.push(redis);
    return { redis, recording };
  };

  test('serves sessions and locks', async () => {
    const { redis, recording } = await connect('secret');
    const wake = createWake(redis);
    const sessions = createRedisSessionStore({ redis, wake });
    const session = makeSession();
    await sessions.create(session);
    const lock = await sessions.acquire(session.id, {
      requester: unattended,
      onReleaseRequested() {},
    });
    assert.ok(lock !== undefined);
    await lock.update({ fence: 1, offset: 3, digest: undefined, proof: undefined });
    await lock.remove();
    const locks = createRedisLocks({ redis, wake });
    (await locks.exclusive('a'))[Symbol.dispose]();
    await locks.close();
    assert.deepEqual(recording.messages(), []);
  });

  test('with a wrong password is away, and the log says why once', async () => {
    const { redis, recording } = await connect('wrong');
    for (let round = 0; round < 5; round += 1) {
      await assert.rejects(redis.run(probe, ['portcullis:x'], ['1']), RedisAwayError);
    }
    assert.equal(redis.up, false);
    const said = recording.messages().filter((line) => line.startsWith('error:'));
    assert.equal(said.length, 1, said.join('\n'));
  });
});

describe('Redis under Sentinels', () => {
  let deployment: SentinelDeployment;
  let redis: RedisConnection;

  before(async () => {
    deployment = await startSentinels();
    redis = await connectRedis(deployment.settings, createRecordingLog().log);
  });

  after(async () => {
    await redis?.close();
    await deployment?.remove();
  });

  test('goes on with the replica when the master dies', async () => {
    await redis.run(probe, ['portcullis:x'], ['before']);
    await deployment.master.kill();
    await waitFor('the replica to be asked', async () => {
      try {
        await redis.run(probe, ['portcullis:x'], ['after']);
        return true;
      } catch (error) {
        assert.ok(error instanceof RedisAwayError, String(error));
        return false;
      }
    });
    assert.equal((await deployment.replica.cli('get', 'portcullis:x')).trim(), 'after');
    await waitFor('it to count as up', async () => {
      await redis.run(probe, ['portcullis:x'], ['on']).catch(() => {});
      return redis.up;
    });
  });
});
