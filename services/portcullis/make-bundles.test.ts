import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { bundleFolder } from '#libs/process/run-bundled.ts';
import { createTemporaryFolder } from '../../test/support/temporary-folder.ts';
import { makeBundles } from './make-bundles.ts';

const runBundled = fileURLToPath(new URL('../../libs/process/run-bundled.ts', import.meta.url));

/** A project of two programs that share a module, and of which the bundles are made. */
async function bundledProject(t: TestContext, name = 'project') {
  const { path: folder, remove } = await createTemporaryFolder();
  t.after(remove);
  const root = join(folder, name);
  const write = async (path: string, text: string) => await writeFile(join(root, path), text);
  await mkdir(join(root, 'services/a'), { recursive: true });
  await mkdir(join(root, 'services/b'), { recursive: true });
  await mkdir(join(root, 'libs'));
  await write('package-lock.json', '{}');
  await write('package.json', '{ "type": "module" }');
  await write('libs/word.ts', "export const word: string = 'first';\n");
  await write(
    'libs/place.ts',
    'export const place = new URL("./word.ts", import.meta.url).href;\n',
  );
  await write('libs/lazy.ts', "export const lazy = 'lazily';\n");
  await write(
    'services/a/start.ts',
    `import { place } from '../../libs/place.ts';
import { word } from '../../libs/word.ts';
const { lazy } = await import('../../libs/lazy.ts');
console.log(word, lazy, place, import.meta.url.includes('.cache'));\n`,
  );
  await write(
    'services/b/start.ts',
    "import { word } from '../../libs/word.ts';\nconsole.log(word);\n",
  );
  const programs = { a: 'services/a/start.ts', b: 'services/b/start.ts' };
  const make = async () => await makeBundles(root, programs);
  assert.equal(await make(), true);
  /** What this program prints, and whether it ran from its bundle. */
  const run = (name: 'a' | 'b') => {
    const script = `const { runBundled } = await import(${JSON.stringify(runBundled)});
let bundled = true;
const sources = () => { bundled = false; return import(${JSON.stringify(join(root, programs[name]))}); };
await runBundled(${JSON.stringify(name)}, sources, ${JSON.stringify(root)});
console.log(bundled ? 'bundled' : 'sources');`;
    const words = ['--input-type=module', '--eval', script];
    return execFileSync(process.execPath, words, { encoding: 'utf8' }).trim().split('\n');
  };
  return { root, write, make, run };
}

test('a bundle', async (t) => {
  await t.test('does what its sources do, which find what lies beside them', async (t) => {
    const { root, run } = await bundledProject(t);
    const [printed, how] = run('a');
    assert.equal(how, 'bundled');
    assert.equal(printed, `first lazily file://${root}/libs/word.ts false`);
  });

  for (const name of ['a#b', 'a%41b', 'a?b', 'a b']) {
    await t.test(`runs in a folder called ${name}`, async (t) => {
      const { run } = await bundledProject(t, name);
      const [printed = '', how] = run('a');
      assert.equal(how, 'bundled');
      assert.match(printed, /^first lazily /);
    });
  }

  for (const [what, path, text] of [
    ['a source', 'libs/word.ts', "export const word: string = 'second';\n"],
    ['one that is loaded later', 'libs/lazy.ts', "export const lazy = 'late';\n"],
    ['the list of packages', 'package-lock.json', '{ }'],
  ] as const) {
    await t.test(`is not used once ${what} changed, until it is made again`, async (t) => {
      const { run, write, make } = await bundledProject(t);
      await write(path, text);
      const [printed, how] = run('a');
      assert.equal(how, 'sources');
      await make();
      assert.equal(run('a').at(-1), 'bundled');
      assert.equal(run('a')[0], printed);
    });
  }

  await t.test('of one program goes on being used when a source of another changed', async (t) => {
    const { run, write } = await bundledProject(t);
    await write('services/a/start.ts', "console.log('other');\n");
    assert.deepEqual(run('a'), ['other', 'sources']);
    assert.deepEqual(run('b'), ['first', 'bundled']);
  });

  await t.test('of which a file is gone is not used', async (t) => {
    const { root, run } = await bundledProject(t);
    const folder = join(root, bundleFolder);
    for (const name of readdirSync(folder)) {
      if (name.startsWith('chunk-')) await rm(join(folder, name));
    }
    assert.equal(run('a').at(-1), 'sources');
  });

  await t.test('that was damaged is not used', async (t) => {
    const { root, run, write } = await bundledProject(t);
    await write(`${bundleFolder}/a.json`, '{ "entry": ');
    assert.equal(run('a').at(-1), 'sources');
    await rm(join(root, bundleFolder), { recursive: true });
    assert.equal(run('a').at(-1), 'sources');
  });

  await t.test('that was made before leaves nothing', async (t) => {
    const { root, write, make } = await bundledProject(t);
    const names = readdirSync(join(root, bundleFolder));
    await write('libs/word.ts', "export const word = 'second';\n");
    await make();
    const left = readdirSync(join(root, bundleFolder));
    assert.equal(left.length, names.length);
    assert.notDeepEqual(left, names);
  });

  await t.test('of sources with a mistake is not made, and the one before stays', async (t) => {
    const { root, write, make } = await bundledProject(t);
    await write('libs/word.ts', 'export const word = ;\n');
    await assert.rejects(make(), /word\.ts/);
    assert.ok(existsSync(join(root, bundleFolder, 'a.json')));
  });
});
