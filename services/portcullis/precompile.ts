import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { services } from '#libs/values/service-name.ts';
import { makeBundles } from './make-bundles.ts';
import { nodeOptionsFor } from './node-options.ts';

/**
 * Makes bundles of all programs, has Node compile what runs for long, and keeps what it made where `NODE_COMPILE_CACHE` says, at an
 * install: the first start is as fast then as all others, and takes as little memory. Each is started with what it refuses,
 * once all of it is loaded; with its own options, since what was made with others is not used.
 */
const refused = '--precompile';
const root = fileURLToPath(new URL('../..', import.meta.url));
const launcher = `${root}bin/portcullis`;
const run = (file: string, words: readonly string[]) => spawnSync(file, words);

const programs = [...services, 'portcullis'].map((name) => [name, `services/${name}/start.ts`]);
try {
  await makeBundles(root, Object.fromEntries(programs));
} catch (error) {
  // Somebody works on them: until then they run as they are.
  process.exitCode = 1;
  process.stderr.write(`no bundles: ${(error as Error).message}\n`);
}
for (const service of services) {
  run(process.execPath, [
    ...nodeOptionsFor(service),
    `${root}services/${service}/main.ts`,
    refused,
  ]);
}
run(launcher, ['serve', `${root}${refused}`]);
run(launcher, ['quickstart', '--dir', '']);
