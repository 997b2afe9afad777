import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { type DockerEngine, startDockerEngine } from '../support/docker-engine.ts';
import { type Fleet, startFleet } from '../support/fleet.ts';
import { resolveTo } from '../support/hosts-file.ts';
import { waitFor } from '../support/wait-for.ts';

const host = 'fleet.portcullis.test';
const MiB = 1024 * 1024;

describe('the real docker engine in front of a fleet', () => {
  let fleet: Fleet;
  let engine: DockerEngine;

  before(async () => {
    resolveTo(host, '127.0.0.1');
    fleet = await startFleet({ host });
    engine = await startDockerEngine();
    await engine.trust(fleet.host, fleet.ca);
    await engine.mustDocker(['login', '--username', fleet.user, '--password-stdin', fleet.host], {
      input: fleet.password,
    });
  });

  after(async () => {
    await engine?.stop();
    await fleet?.remove();
    resolveTo(host);
  });

  test('a push begun through one gateway goes on through the other, with the core dead that held it', async () => {
    const image = `${fleet.host}/team/app:v1`;
    await engine.buildImage(image, [48 * MiB, 8 * MiB, 1000]);
    // One gateway, until something is on its way.
    const [first, second] = fleet.gateways;
    assert.ok(first !== undefined && second !== undefined);
    fleet.balancer.target(first.port);
    const pushing = engine.docker(['push', image]);
    const holder = await waitFor('an upload to be held', async () => {
      const keys = await fleet.redis.cli('keys', 'portcullis:upload:*');
      for (const key of keys.split('\n').filter(Boolean)) {
        const name = await fleet.redis.cli('hget', key, 'holder');
        const core = fleet.cores.find(({ child }) => name.split('/')[1] === String(child.pid));
        if (core !== undefined) return core;
      }
      return undefined;
    });
    fleet.balancer.target(second.port);
    await Promise.all([first.kill(), holder.kill()]);
    const { code, stdout, stderr } = await pushing;
    assert.equal(code, 0, stdout + stderr);
    const digest = /digest: (sha256:[0-9a-f]{64})/.exec(stdout)?.[1];
    assert.ok(digest !== undefined, stdout);
    await engine.mustDocker(['image', 'rm', image]);
    assert.match(await engine.mustDocker(['pull', image]), new RegExp(digest));
    await Promise.all([first.start(), holder.start()]);
  });

  test('a push goes on while every process is restarted in turn', async () => {
    const image = `${fleet.host}/team/rolled:v1`;
    await engine.buildImage(image, [64 * MiB, 16 * MiB, MiB]);
    const pushing = engine.docker(['push', image]);
    for (const member of [...fleet.cores, ...fleet.auths, ...fleet.gateways]) {
      await member.stop();
      await member.start();
    }
    const { code, stdout, stderr } = await pushing;
    assert.equal(code, 0, stdout + stderr);
    await engine.mustDocker(['image', 'rm', image]);
    await engine.mustDocker(['pull', image]);
  });
});
