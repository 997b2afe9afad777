import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { allCommands, examplesFor, fullName } from './command-tree.ts';
import { createProgram } from './program.ts';

const main = fileURLToPath(new URL('../main.ts', import.meta.url));
/** From the sources, whether or not there is a bundle of them. */
const start = fileURLToPath(new URL('../start.ts', import.meta.url));

test('each command says what it does, on one line and at length, and has an example', async () => {
  for (const command of allCommands(await createProgram())) {
    const name = fullName(command);
    const isOurs = !/^portcullis(?: help| complete| completion)?$/.test(name);
    if (!isOurs) continue;
    assert.ok(command.summary().length > 0 && command.summary().length < 72, name);
    assert.match(command.description(), /^[A-Z][\s\S]*\.$/, name);
    if (command.commands.length === 0) assert.ok(examplesFor(command).length > 0, name);
  }
});

test('the examples are commands that exist, with options that they have', async () => {
  const program = await createProgram();
  for (const command of allCommands(program)) {
    for (const example of examplesFor(command)) {
      const options = [...example.matchAll(/ (--[a-z-]+)/g)].map(([, option]) => option);
      const known = command.options.map(({ long }) => long);
      assert.deepEqual(
        options.filter((option) => !known.includes(option)),
        [],
        example,
      );
      const alone = /^portcullis \/\S+\.yml$/.test(example);
      assert.ok(alone || example.includes(fullName(command)), example);
    }
  }
});

test('a command loads what it runs, and not what others do', () => {
  const { stderr } = spawnSync(process.execPath, [start, '--version'], {
    encoding: 'utf8',
    env: { ...process.env, NODE_DEBUG: 'esm' },
  });
  const loaded = [...stderr.matchAll(/file:\/\/\S+?\/(services\/[^"'\s)]+?\.ts)/g)].map(
    ([, path = '']) => path,
  );
  const parts = new Set(loaded.map((path) => path.split('/').slice(0, 3).join('/')));
  assert.ok(parts.has('services/portcullis/command-line'), stderr.slice(0, 500));
  for (const other of [
    'services/portcullis/commands',
    'services/auth/commands',
    'services/core/commands',
  ]) {
    assert.ok(!parts.has(other), other);
  }
});

test('help is of a command that exists', () => {
  const help = (...names: string[]) =>
    spawnSync(process.execPath, [main, 'help', ...names], { encoding: 'utf8' });
  const found = help('user', 'add');
  assert.deepEqual([found.status, found.stderr], [0, '']);
  assert.match(found.stdout, /^Usage: portcullis user add /);
  const unknown = help('user', 'ad');
  assert.deepEqual([unknown.status, unknown.stdout], [2, '']);
  assert.match(unknown.stderr, /^portcullis: unknown command 'ad' \(did you mean add\?\)/);
});
