import type { RepositoryName } from '#libs/oci/reference.ts';
import { ifPresent } from '../../storage/driver.ts';
import { paths } from '../paths.ts';
import { createReferrersIndex } from '../referrers-index.ts';
import { removeStaleTag } from '../tag-store.ts';
import type { Collection } from './collection.ts';
import type { MarkedRepository } from './mark.ts';

/** Takes away what a repository has and does not need. */
export async function clearRepository(
  { driver, trash, options: { dryRun }, olderThan, discard, report, whileThereIsRoom }: Collection,
  repository: RepositoryName,
  {
    keptManifests,
    absentManifests,
    youngLayers,
    garbage,
    staleReferrers,
    missingReferrers,
    staleTags,
    empty,
  }: MarkedRepository,
): Promise<void> {
  report.repositories += 1;
  report.kept.manifests += keptManifests;
  report.absent.manifests += absentManifests;
  report.young.layers += youngLayers;
  for (const { kind, digest } of garbage) {
    report.garbage[kind === 'manifest' ? 'manifests' : 'layers'] += 1;
    await whileThereIsRoom(() => discard({ kind, repository, digest }, 0));
    if (dryRun) continue;
    const folder = kind === 'manifest' ? paths.revisionFolder : paths.layerFolder;
    await driver.prune?.(folder(repository, digest));
  }
  if (!dryRun) {
    const referrers = createReferrersIndex(driver);
    for (const { subject, digest } of staleReferrers) {
      // Also in the trash: another collection may have taken it there meanwhile.
      const isHeld = () => trash.holds({ kind: 'manifest', repository, digest });
      await referrers.removeStale(repository, subject, digest, { isHeld, olderThan });
    }
    for (const { subject, digest } of missingReferrers) {
      const link = await ifPresent(driver.stat(paths.revisionLink(repository, digest)));
      if (link === undefined) continue;
      await whileThereIsRoom(() => referrers.ensure(repository, subject, digest));
    }
    for (const tag of staleTags) await removeStaleTag(driver, repository, tag);
  }
  if (!empty) return;
  report.removedRepositories += 1;
  if (dryRun) return;
  // Folders only: whatever is pushed meanwhile makes its own again.
  await driver.prune?.(paths.namespace(repository), paths.repositories);
}
