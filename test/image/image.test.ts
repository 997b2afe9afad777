import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe } from 'node:test';
import { fileURLToPath } from 'node:url';
import { makeBaseImages } from '../support/base-images.ts';
import { type DockerEngine, startDockerEngine } from '../support/docker-engine.ts';
import { describeComposeStack } from './compose-stack.ts';
import { describeImageContract } from './contract.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));

describe('in containers', () => {
  let dir: string;
  let engine: DockerEngine;

  before(async () => {
    dir = await mkdtemp(join(tmpdir(), 'portcullis-image-'));
    engine = await startDockerEngine({ networks: true });
    await makeBaseImages(engine, dir);
    await engine.mustDocker(
      ['build', '--network=host', '--file', 'compose/Dockerfile', '--tag', 'portcullis', '.'],
      { cwd: root, timeout: 300_000 },
    );
  });

  after(async () => {
    await engine?.stop();
    await rm(dir, { recursive: true, force: true });
  });

  describeImageContract(() => ({ engine, dir }));
  describeComposeStack(() => ({ engine, dir }));
});
