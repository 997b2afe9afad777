import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { services } from '#libs/values/service-name.ts';

const root = fileURLToPath(new URL('..', import.meta.url));

/** Prints the modules of Node that a process has loaded when it ends. */
const report = `process.on('exit', () => console.log(process.moduleLoadList.join('\\n')))`;

/** @returns the modules of Node that this program of ours has loaded when it refuses what it is asked */
function loadedBy(program: string, asked: readonly string[]): string[] {
  const hook = `data:text/javascript,${encodeURIComponent(report)}`;
  const words = ['--import', hook, program, ...asked];
  const { stdout, stderr } = spawnSync(process.execPath, words, { cwd: root, encoding: 'utf8' });
  assert.match(stderr, /portcullis/);
  return stdout.split('\n');
}

const programs: [name: string, ...asked: string[]][] = [
  ...services.map((service): [string, string] => [service, '--unknown']),
  ['portcullis', 'serve', '/no/such/config.yml'],
];

for (const [name, ...asked] of programs) {
  test(`${name} does not load undici, which nothing of ours uses`, () => {
    const loaded = loadedBy(`services/${name}/main.ts`, asked);
    assert.ok(loaded.length > 100);
    const unexpected = loaded.filter((module) => module.includes('undici'));
    assert.deepEqual(unexpected, [], 'see libs/http/node-http.ts');
  });
}
