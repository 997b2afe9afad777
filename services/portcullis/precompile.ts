import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { services } from '#libs/values/service-name.ts';
import { nodeOptionsFor } from './node-options.ts';

/**
 * Has Node compile the sources of everything that runs for long, and keep what it made (`NODE_COMPILE_CACHE`), as an install
 * does: the first start is as fast then as all others, and takes as little memory. Each is started with what it refuses, once
 * all of it is loaded; with its own options, since what was made with others is not used.
 */
const refused = '--precompile';
const inRoot = (path: string) => fileURLToPath(new URL(`../../${path}`, import.meta.url));
const launcher = inRoot('bin/portcullis');
// It says where what was made is kept.
const env = { ...process.env, NODE_COMPILE_CACHE: inRoot('node_modules/.cache/node') };
const run = (file: string, words: readonly string[]) => spawnSync(file, words, { env });

for (const service of services) {
  const main = inRoot(`services/${service}/main.ts`);
  run(process.execPath, [...nodeOptionsFor(service), main, refused]);
}
run(launcher, ['serve', inRoot(refused)]);
run(launcher, ['quickstart', '--dir', '']);
