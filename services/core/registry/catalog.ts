import { isRepositoryName, type RepositoryName } from '#libs/oci/reference.ts';
import type { StorageDriver } from '../storage/driver.ts';
import { paths } from './paths.ts';

/**
 * All repositories in byte order of their full names, from the first after `last`.
 *
 * A folder may be a repository, hold others, or both: `a` and `a/b`. In byte order `a-x` stands
 * between those two, so a folder counts twice in its parent's order: as itself (`a`) and as what is
 * below it (`a/`).
 */
export async function* walkRepositories(
  driver: StorageDriver,
  last: string,
  parent = '',
): AsyncGenerator<RepositoryName> {
  const names = await driver.list(paths.namespace(parent));
  const steps = names
    .filter((name) => !name.startsWith('_'))
    .map((name) => (parent === '' ? name : `${parent}/${name}`))
    .flatMap((path) => [path, `${path}/`])
    .sort();
  for (const step of steps) {
    if (step.endsWith('/')) {
      const path = step.slice(0, -1);
      // Everything below comes before `last` unless `last` itself is below or comes before.
      if (step < last && !last.startsWith(step)) continue;
      yield* walkRepositories(driver, last, path);
    } else if (step > last && isRepositoryName(step) && (await isRepository(driver, step))) {
      yield step;
    }
  }
}

/** What the original calls a repository: a folder with layers, or with manifests. */
export async function isRepository(driver: StorageDriver, path: string): Promise<boolean> {
  const names = await driver.list(paths.namespace(path), { after: '_' });
  return names.some((name) => name === '_layers' || name === '_manifests');
}
