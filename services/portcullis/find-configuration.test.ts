import assert from 'node:assert/strict';
import { test } from 'node:test';
import { mayBeMeant } from './find-configuration.ts';
import type { RunningService } from './running-process.ts';

function running(config: string | undefined, folder: string | undefined): RunningService {
  const others = { sockets: undefined, isTrusted: false, uid: 0, environment: {} };
  return { service: 'gateway', config, folder, ...others };
}

test('another user’s registry may be meant by who cannot know the folder that it works in', () => {
  const of = (config: string | undefined, folder?: string, wanted?: string) =>
    mayBeMeant(running(config, folder), '/srv/registry', wanted);
  // As `quickstart` starts its processes: with the whole path.
  assert.equal(of('/srv/registry/data/config.yml'), true);
  // As `DIR=/elsewhere make run` does in this folder.
  assert.equal(of('/etc/registry/config.yml'), true);
  assert.equal(of('/etc/registry/config.yml', '/srv'), false);
  assert.equal(of('data/config.yml'), true);
  assert.equal(of(undefined), true);
  assert.equal(of(undefined, '/srv/registry'), true);
  assert.equal(of('data/config.yml', '/srv'), false);
  assert.equal(of('/srv/a.yml', undefined, '/srv/a.yml'), true);
  assert.equal(of('/srv/a.yml', undefined, '/srv/b.yml'), false);
  assert.equal(of('a.yml', '/srv', '/srv/a.yml'), true);
});
