import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { basename, join, relative } from 'node:path';
import type { BuildResult, Metafile, Plugin } from 'esbuild';
import { type BundleManifest, bundleFolder, fingerprint } from '#libs/process/run-bundled.ts';

/** With what is installed by it, it tells which packages went into a bundle. */
const lockfile = 'package-lock.json';

/** Packages that were not made for it call `require`. */
const banner = `import { createRequire as createRequireOf } from 'node:module';
const require = createRequireOf(import.meta.url);`;

/**
 * Makes of the sources of each program the few files that `runBundled` loads instead, and takes those made before away.
 * @param programs their first source each, from the root of the project, by name
 * @returns false where esbuild is not installed, as without development dependencies
 * @throws Error if a source has a mistake
 */
export async function makeBundles(
  root: string,
  programs: Readonly<Record<string, string>>,
): Promise<boolean> {
  const esbuild = await import('esbuild').catch(() => undefined);
  if (esbuild === undefined) return false;
  const folder = join(root, bundleFolder);
  const result = await esbuild.build({
    absWorkingDir: root,
    entryPoints: programs,
    entryNames: '[name]-[hash]',
    chunkNames: '[name]-[hash]',
    outExtension: { '.js': '.mjs' },
    outdir: folder,
    bundle: true,
    // Its faults are known by where they come from (libs/redis/client-fault.ts).
    external: ['ioredis'],
    // What a command needs is loaded when it runs, and what programs share is kept compiled once.
    splitting: true,
    platform: 'node',
    format: 'esm',
    target: 'node24',
    // Names stay: they are what a stack tells.
    minifyWhitespace: true,
    minifySyntax: true,
    legalComments: 'none',
    banner: { js: banner },
    plugins: [ownAddresses(root), onlyEnglish],
    metafile: true,
    write: false,
    logLevel: 'silent',
  });
  writeBundles(root, folder, Object.keys(programs), result);
  return true;
}

type Made = BuildResult<{ write: false; metafile: true }>;

/** The manifests last: what they name is there then. */
function writeBundles(root: string, folder: string, programs: readonly string[], made: Made): void {
  mkdirSync(folder, { recursive: true });
  const kept = new Set<string>();
  for (const { path, contents } of made.outputFiles) {
    writeWhole(path, contents);
    kept.add(basename(path));
  }
  for (const program of programs) {
    const manifest = manifestOf(root, program, made.metafile);
    const name = `${program}.json`;
    writeWhole(join(folder, name), JSON.stringify(manifest));
    kept.add(name);
  }
  for (const name of readdirSync(folder)) {
    // What another install is about to write is left to it.
    if (!kept.has(name) && !name.endsWith('.new')) rmSync(join(folder, name), { force: true });
  }
}

function manifestOf(root: string, program: string, { outputs }: Metafile): BundleManifest {
  const [entry] =
    Object.entries(outputs).find(
      ([path, { entryPoint }]) =>
        entryPoint !== undefined && basename(path).startsWith(`${program}-`),
    ) ?? [];
  if (entry === undefined) throw new Error(`nothing was made of ${program}`);
  const files = filesOf(entry, outputs);
  const inputs = files.flatMap((path) => Object.keys(outputs[path]?.inputs ?? {}));
  const sources = [lockfile, ...inputs]
    .filter((path) => !path.startsWith('node_modules/'))
    .map((path) => [path, fingerprint(readFileSync(join(root, path)))]);
  return { files: files.map((path) => basename(path)), sources: Object.fromEntries(sources) };
}

/** The file and all that it may ever load. */
function filesOf(entry: string, outputs: Metafile['outputs']): string[] {
  const files = new Set<string>();
  const visit = (path: string): void => {
    const output = outputs[path];
    if (output === undefined || files.has(path)) return;
    files.add(path);
    for (const { path: imported } of output.imports) visit(imported);
  };
  visit(entry);
  return [...files];
}

/** A process that starts meanwhile finds a file whole or not at all. */
function writeWhole(path: string, contents: string | Uint8Array): void {
  const temporary = `${path}.${process.pid}.new`;
  writeFileSync(temporary, contents);
  renameSync(temporary, path);
}

/** A source goes on finding what lies beside it. */
function ownAddresses(root: string): Plugin {
  return {
    name: 'own addresses',
    setup(build) {
      build.onLoad({ filter: /\.ts$/ }, ({ path }) => {
        if (path.includes('/node_modules/')) return undefined;
        const address = JSON.stringify(relative(join(root, bundleFolder), path));
        const own = `new URL(${address}, import.meta.url).href`;
        const contents = readFileSync(path, 'utf8').replaceAll('import.meta.url', own);
        return { contents, loader: 'ts' };
      });
    },
  };
}

/** The words of all languages that zod knows are a third of what a process would load. */
const onlyEnglish: Plugin = {
  name: 'only English',
  setup(build) {
    build.onResolve({ filter: /^\.\.\/locales\/index\.js$/ }, async ({ resolveDir, kind }) =>
      resolveDir.includes('/zod/')
        ? await build.resolve('../locales/en.js', { resolveDir, kind })
        : undefined,
    );
  },
};
