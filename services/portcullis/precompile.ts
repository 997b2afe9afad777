import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { services } from '#libs/values/service-name.ts';
import { nodeOptionsFor } from './node-options.ts';

/**
 * Has Node compile the sources of everything that runs for long, and keep what it made where `NODE_COMPILE_CACHE`
 * says, at an install: the first start is as fast then as all others, and takes as little memory. Each is started with what it refuses, once
 * all of it is loaded; with its own options, since what was made with others is not used.
 */
const refused = '--precompile';
const inRoot = (path: string) => fileURLToPath(new URL(`../../${path}`, import.meta.url));
const launcher = inRoot('bin/portcullis');
const run = (file: string, words: readonly string[]) => spawnSync(file, words);

for (const service of services) {
  const main = inRoot(`services/${service}/main.ts`);
  run(process.execPath, [...nodeOptionsFor(service), main, refused]);
}
run(launcher, ['serve', inRoot(refused)]);
run(launcher, ['quickstart', '--dir', '']);
