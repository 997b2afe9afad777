import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Fleet, type Member, startFleet } from '../support/fleet.ts';
import { type HostilePeer, misbehaviours, startHostilePeer } from '../support/hostile-peer.ts';
import { mustRun, run } from '../support/run.ts';
import { waitFor } from '../support/wait-for.ts';

/** What our processes, or the library that they speak to Redis with, say to it. */
const commands: readonly [name: string, pattern: RegExp][] = [
  // It is said while something else gets no answer.
  ['PING', /\r\n(?:ping|eval(?:sha)?)\r\n/i],
  ['EVAL and EVALSHA', /\r\neval(?:sha)?\r\n/i],
  ['PUBLISH', /\r\npublish\r\n/i],
  ['INFO', /\r\ninfo\r\n/i],
  ['CLIENT', /\r\nclient\r\n/i],
  ['HELLO', /\r\nhello\r\n/i],
  ['SELECT', /\r\nselect\r\n/i],
  ['anything', /./],
  ['SUBSCRIBE', /\r\nsubscribe\r\n/i],
];

/** Answers in the form of the protocol that no server gives. */
const shapeless = ['*0\r\n', '*1\r\n$-1\r\n', '-MOVED 1\r\n'].map((text) => Buffer.from(text));

/** What is not said in each configuration, by each version. */
const seldom: ReadonlySet<string> = new Set(['HELLO', 'PUBLISH', 'SELECT']);

describe('a Redis that misbehaves', () => {
  let fleet: Fleet;
  let hostile: HostilePeer;
  let members: Member[];

  before(async () => {
    fleet = await startFleet({ gateways: 1, auths: 1, cores: 2 });
    members = [...fleet.gateways, ...fleet.auths, ...fleet.cores];
    hostile = await startHostilePeer(fleet.redis.port, {
      garbage: Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n\0\xff\r\n', 'latin1'),
      half: Buffer.from('$1000\r\nhalf'),
      error: Buffer.from('-ERR no\r\n'),
      endless: Buffer.from('$99999999\r\n'),
    });
    fleet.redisRelay.target(hostile.port);
    fleet.redisRelay.breakAll();
    await works();
  });

  after(async () => {
    await hostile?.close();
    await fleet?.remove();
  });

  const curl = (...args: string[]) =>
    run('curl', [
      ...['-sS', '--max-time', '8', '--cacert', fleet.ca, '-o', '/dev/null', '-w', '%{http_code}'],
      ...['--user', `${fleet.user}:${fleet.password}`, ...args],
    ]);
  const push = async () =>
    (await curl('-X', 'POST', `${fleet.url}/v2/builder/app/blobs/uploads/`)).stdout;
  const pull = async () => (await curl(`${fleet.url}/v2/_catalog`)).stdout;

  async function works(): Promise<void> {
    await waitFor('writes', async () => (await push()) === '202', 60_000);
    assert.equal(await pull(), '200');
  }

  const pids = () => members.map(({ child }) => child.pid);
  const deaths = () =>
    members.filter(({ child }) => child.exitCode !== null || child.signalCode !== null);
  const unexpected = () =>
    members.flatMap(({ kind, output }) =>
      output()
        .split('\n')
        .filter((line) => line.includes('unexpected'))
        .map((line) => `${kind}: ${line.slice(0, 600)}`),
    );

  async function assertAlive(expected: readonly (number | undefined)[]): Promise<void> {
    const dead = deaths().map(({ kind, output }) => `${kind}: ${output().slice(-1500)}`);
    for (const member of deaths()) await member.start();
    assert.deepEqual(dead, []);
    assert.deepEqual(pids(), expected);
  }

  for (const [name, pattern] of commands) {
    test(`at ${name} ends nobody, whatever it does, and is used again when it is well`, async () => {
      const before = pids();
      const known = unexpected().length;
      for (const how of [...misbehaviours, ...shapeless]) {
        hostile.misbehave(how, (request) => pattern.test(request.toString('latin1')));
        // New connections say everything that is said at their beginning.
        hostile.cut();
        await Promise.all([push(), pull(), sleep(1000)]);
        if (!seldom.has(name)) {
          // The first request may have come before there was a connection again.
          await waitFor(
            `${name}: ${typeof how === 'string' ? how : JSON.stringify(`${how}`)}`,
            async () => {
              if (hostile.times() === 0) await push();
              return hostile.times() > 0;
            },
          );
        }
        hostile.recover();
        await assertAlive(before);
        await works();
      }
      await assertAlive(before);
      assert.deepEqual(unexpected().slice(known), [], 'and no mistake of ours shows');
    });
  }

  test('that crashes again and again ends nobody', async () => {
    const before = pids();
    const known = unexpected().length;
    for (let round = 0; round < 12; round += 1) {
      await fleet.redis.kill();
      await Promise.all([push(), sleep(150 * (round % 4))]);
      await fleet.redis.restart();
      if (round % 3 === 0) await Promise.all([push(), push()]);
    }
    await works();
    await assertAlive(before);
    assert.deepEqual(unexpected().slice(known), []);
    await mustRun('redis-cli', ['-p', `${fleet.redis.port}`, 'ping']);
  });
});
