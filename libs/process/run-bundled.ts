import { hash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

/** What stands beside the bundle of a program, as `NAME.json`. */
export interface BundleManifest {
  /** The files it consists of, beside the manifest: the first is loaded, which loads the others. */
  files: readonly string[];
  /** Each file that it was made of, from the root of the project, with its {@link fingerprint}. */
  sources: Readonly<Record<string, string>>;
}

const rootOfProject = fileURLToPath(new URL('../../', import.meta.url));

/** Where bundles are, from the root of the project. */
export const bundleFolder = 'node_modules/.cache/portcullis';

/** Tells one content of a file from another. */
export const fingerprint = (content: Buffer) => hash('sha256', content, 'base64url');

/**
 * Runs a program of ours from the few files that the install made of its sources, where they were made of the sources as
 * they are now: it starts faster and takes less memory. Else, as before the first install or while somebody works on them,
 * from its sources (docs/adr/0023-bundles-are-a-cache.md).
 * @param sources loads the program from them
 */
export async function runBundled(
  program: string,
  sources: () => Promise<unknown>,
  root = rootOfProject,
): Promise<void> {
  const entry = findBundle(program, root);
  await (entry === undefined ? sources() : import(entry));
}

/** @returns the address of the file to load; undefined where there is none, or something that it was made of has changed */
function findBundle(program: string, root: string): string | undefined {
  try {
    const folder = join(root, bundleFolder);
    const text = readFileSync(join(folder, `${program}.json`), 'utf8');
    const { files, sources }: BundleManifest = JSON.parse(text);
    const paths = files.map((name) => join(folder, name));
    if (!paths.every((path) => existsSync(path))) return undefined;
    const isCurrent = Object.entries(sources).every(
      ([path, made]) => fingerprint(readFileSync(join(root, path))) === made,
    );
    const [first] = paths;
    return isCurrent && first !== undefined ? pathToFileURL(first).href : undefined;
  } catch {
    return undefined;
  }
}
