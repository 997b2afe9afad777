import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));

interface Source {
  path: string;
  text: string;
  /** What it imports: paths from the root for our own files, names for packages. */
  imports: string[];
}

const sources: Source[] = globSync('{libs,services,test}/**/*.ts', { cwd: root }).map((path) => {
  const text = readFileSync(join(root, path), 'utf8');
  const specifiers = [
    ...text.matchAll(/^(?:import|export)[^'"]*?from\s+'([^']+)'|^import\s+'([^']+)'/gms),
    // Dynamic ones as well: they hide no dependency.
    ...text.matchAll(/\bimport\(\s*'([^']+)'/g),
  ];
  const imports = specifiers.map((match) => resolveImport(path, match[1] ?? match[2] ?? ''));
  return { path, text, imports };
});

function resolveImport(from: string, specifier: string): string {
  if (specifier.startsWith('#libs/')) return specifier.slice(1);
  if (specifier.startsWith('.')) return normalize(join(dirname(from), specifier));
  return specifier;
}

const isTest = (path: string) => path.endsWith('.test.ts') || path.startsWith('test/');
const product = sources.filter(({ path }) => !isTest(path));

/** Each row: who must not import what, and why. */
const forbidden: readonly [from: RegExp, to: RegExp, why: string][] = [
  [/^libs\//, /^services\//, 'libraries know no service'],
  [/^libs\/oci\//, /^(?!libs\/oci\/|node:)/, 'the vocabulary is pure'],
  [
    /^libs\/policy\//,
    /^(?:node:(?!crypto)|libs\/(?:process|log|redis|internal)\/)/,
    'what rules mean depends on nothing that runs',
  ],
  [
    /^services\/(?!core|portcullis\/command-line\/)/,
    /^services\/core\//,
    'processes share only libs and the wire',
  ],
  [
    /^services\/(?!auth|portcullis\/command-line\/)/,
    /^services\/auth\//,
    'processes share only libs and the wire',
  ],
  [
    /^services\/portcullis\/command-line\//,
    /^services\/(?:core|auth)\/(?!commands\/)/,
    'the command line knows what commands do, and nothing else of a service',
  ],
  [/^services\/(?!gateway)/, /^services\/gateway\//, 'processes share only libs and the wire'],
  [
    /^services\/(?!portcullis)/,
    /^services\/portcullis\//,
    'a service does not know its supervisor',
  ],
  [
    /^services\/core\/(?:registry|storage|sessions)\//,
    /^services\/core\/(?:api\/|app|start)/,
    'the domain does not know its outside',
  ],
  [
    /^services\/core\/(?:registry|storage|sessions)\//,
    /^(?:koa|@koa\/router|node:http|libs\/http\/)/,
    'the domain knows no HTTP',
  ],
  [
    /^services\/core\/storage\//,
    /^services\/core\/(?:registry|sessions)\//,
    'storage serves the domain',
  ],
  [
    /^services\/core\/sessions\//,
    /^services\/core\/(?:registry|storage)\//,
    'sessions serve the domain',
  ],
  [
    /^services\/core\/(?!storage\/(?:create-driver|filesystem\/))/,
    /^services\/core\/storage\/(?:filesystem\/|memory)/,
    'drivers are named in create-driver only',
  ],
  [
    /^services\/core\/(?!sessions\/(?:create-coordination|redis\/))/,
    /^services\/core\/sessions\/(?:embedded|redis\/)/,
    'stores are named in create-coordination only',
  ],
  [/^services\/core\/api\//, /^services\/core\/storage\//, 'handlers speak to the domain'],
  [
    /^(?!libs\/http\/|services\/\w+\/(?:app|api\/|steps\/|authenticate))/,
    /^(?:koa|@koa\/router)$/,
    'koa stays at the edges',
  ],
  [/^(?!libs\/metrics\/)/, /^prom-client$/, 'metrics are declared through libs/metrics'],
  [
    /^libs\/(?!config\/|process\/run-process)/,
    /^libs\/config\/(?:settings|configuration|load-settings)\.ts/,
    'libraries take the options of a section, not the whole configuration',
  ],
  [
    /^libs\/config\/sections\//,
    /^libs\/config\/(?!sections\/|support-row|from-parts)/,
    'a section does not know the whole',
  ],
  [/^(?:libs|services)\//, /^test\//, 'the product does not know its tests'],
];

test('imports follow the dependency rule', () => {
  const broken = product.flatMap(({ path, imports }) =>
    imports.flatMap((target) =>
      forbidden
        .filter(([from, to]) => from.test(path) && to.test(target))
        .map(([, , why]) => `${path} imports ${target}: ${why}`),
    ),
  );
  assert.deepEqual(broken, []);
});

/** The libraries from the ground up: each knows those before it in the list, and no others. */
const layers = [
  // Vocabulary: what the specifications and our configuration are made of.
  ...['oci', 'values', 'access', 'api'],
  // What every process has.
  ...['log', 'metrics', 'files', 'tls', 'limits', 'audit'],
  // The wire.
  ...['redis', 'http', 'bodies', 'internal', 'auth'],
  // What the rules mean, and what the whole configuration says.
  ...['policy', 'config'],
  // How a process starts, runs and ends.
  'process',
];

test('libraries stand in layers', () => {
  const layerOf = (path: string) => layers.indexOf(/^libs\/([^/]+)\//.exec(path)?.[1] ?? '');
  const broken = product
    .filter(({ path }) => path.startsWith('libs/'))
    .flatMap(({ path, imports }) =>
      imports
        .filter((target) => target.startsWith('libs/'))
        .filter((target) => layerOf(target) === -1 || layerOf(target) > layerOf(path))
        .map((target) => `${path} imports ${target}`),
    );
  assert.deepEqual(broken, []);
});

test('imports have no cycles', () => {
  const graph = new Map(product.map(({ path, imports }) => [path, imports]));
  const done = new Set<string>();
  const visit = (path: string, trail: readonly string[]): void => {
    const start = trail.indexOf(path);
    assert.equal(start, -1, `cycle: ${[...trail.slice(start), path].join(' -> ')}`);
    if (done.has(path)) return;
    for (const target of graph.get(path) ?? []) {
      if (graph.has(target)) visit(target, [...trail, path]);
    }
    done.add(path);
  };
  for (const path of graph.keys()) visit(path, []);
});

test('no two folders of a service import each other, unless one stands in the other', () => {
  const known = new Set<string>();
  for (const { path, imports } of product) {
    for (const target of imports) {
      if (target.startsWith('services/')) known.add(`${dirname(path)} ${dirname(target)}`);
    }
  }
  const broken = [...known].filter((pair) => {
    const [from = '', to = ''] = pair.split(' ');
    const isOneInTheOther = `${from}/`.startsWith(`${to}/`) || `${to}/`.startsWith(`${from}/`);
    return !isOneInTheOther && known.has(`${to} ${from}`);
  });
  assert.deepEqual(broken, []);
});

test('no source file is longer than 400 lines', () => {
  const long = sources.filter(({ text }) => text.split('\n').length > 400).map(({ path }) => path);
  assert.deepEqual(long, []);
});

test('the environment is read in one place', () => {
  const readers = product
    .filter(({ path }) => !path.startsWith('libs/config/'))
    .filter(({ text }) => text.includes('process.env'))
    .map(({ path }) => path);
  assert.deepEqual(readers, []);
});

test('error bodies are written in one place', () => {
  const writers = product.filter(({ text }) => /\berrors: \[/.test(text)).map(({ path }) => path);
  assert.deepEqual(writers, ['libs/http/render-error.ts']);
});

test('storage paths are built in one place', () => {
  const builders = product
    .filter(({ path, text }) => path.startsWith('services/core/') && /as StoragePath/.test(text))
    .map(({ path }) => path);
  assert.deepEqual(builders, ['services/core/registry/paths.ts']);
  const naming = product
    .filter(({ text }) =>
      /['`/]docker\/registry\/v2\b/.test(text.replace(/^\s*(?:\*|\/\/|\/\*).*$/gm, '')),
    )
    .map(({ path }) => path);
  assert.deepEqual(naming, ['libs/values/storage-tree.ts']);
});

test('every driver and session store runs its contract suite', () => {
  const suites: readonly [folder: string, interfaces: RegExp, suite: string][] = [
    [
      'services/core/storage/',
      /(?:implements|: ) ?(?:Promise<)?StorageDriver\b/,
      'test/contract/storage-driver.ts',
    ],
    ['services/core/sessions/', /\): SessionStore\b/, 'test/contract/session-store.ts'],
    ['services/core/sessions/', /\): Locks\b/, 'test/contract/locks.ts'],
  ];
  for (const [folder, implementsPort, suite] of suites) {
    const implementations = product.filter(
      ({ path, text }) =>
        path.startsWith(folder) && !path.includes('/create-') && implementsPort.test(text),
    );
    assert.notEqual(implementations.length, 0);
    for (const { path } of implementations) {
      const isRun = sources.some(
        ({ path: from, imports }) =>
          from.endsWith('.test.ts') && imports.includes(path) && imports.includes(suite),
      );
      assert.ok(isRun, `${path} must be run through ${suite}`);
    }
  }
});
