import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createProgram } from './command-line/program.ts';
import { parseCommandLine, parseServing, servingCommands } from './running-process.ts';

test('a process of ours is known by what it runs, and its configuration by its argument', () => {
  const node = ['/usr/local/bin/node', '--disable-warning=DEP0060'];
  const core = '/opt/portcullis/services/core/main.ts';
  assert.deepEqual(parseCommandLine([...node, core, '/etc/x.yml', '--worker', '2', '']), {
    service: 'core',
    config: '/etc/x.yml',
    sockets: undefined,
  });
  const told = ['--sockets', '/run/portcullis/x', '--worker', '2', ''];
  for (const [given, config] of [
    [['/etc/x.yml'], '/etc/x.yml'],
    [[], undefined],
  ] as const) {
    assert.deepEqual(parseCommandLine([...node, core, ...given, ...told]), {
      service: 'core',
      config,
      sockets: '/run/portcullis/x',
    });
  }
  assert.deepEqual(parseCommandLine([...node, core, '--worker', '2', '']), {
    service: 'core',
    config: undefined,
    sockets: undefined,
  });
  assert.deepEqual(parseCommandLine([...node, core, '']), {
    service: 'core',
    config: undefined,
    sockets: undefined,
  });
  const strangers = [
    [...node, '/opt/portcullis/services/portcullis/main.ts', 'serve', ''],
    [...node, '/srv/app/main.ts', ''],
    ['vi', core, ''],
    [''],
  ];
  for (const words of strangers) assert.equal(parseCommandLine(words), undefined, words.join(' '));
});

test('the commands that serve have the options that they are known by', async () => {
  const { commands } = await createProgram();
  const serving = commands.filter((command) => Object.hasOwn(servingCommands, command.name()));
  assert.equal(serving.length, Object.keys(servingCommands).length);
  for (const command of serving) {
    assert.deepEqual(
      command.options.map((option) => option.attributeName()).sort(),
      Object.keys(servingCommands[command.name() as keyof typeof servingCommands]).sort(),
      command.name(),
    );
  }
});

test('the configuration of a supervisor is that of its command', () => {
  const named = { PORTCULLIS_CONFIG: '/named.yml' };
  for (const [words, config] of [
    [['serve', 'a.yml'], 'a.yml'],
    [['serve', '--config', 'a.yml'], 'a.yml'],
    [['a.yaml'], 'a.yaml'],
    [['serve'], '/named.yml'],
    [['gateway', 'a.yml'], 'a.yml'],
    [['core', '--config', 'a.yml'], 'a.yml'],
    [['auth'], '/named.yml'],
    [['quickstart'], 'data/config.yml'],
    [['quickstart', '--host', 'x', '--dir', '/srv', '--port', '443'], '/srv/config.yml'],
  ] as const) {
    assert.deepEqual(parseServing(words, named), { config });
  }
  assert.deepEqual(parseServing(['serve'], {}), { config: undefined });
  for (const words of [['user', 'list'], ['serve', '--what'], []]) {
    assert.equal(parseServing(words, {}), undefined);
  }
});
