import { formatDuration } from '#libs/values/duration.ts';
import { collectGarbage } from '../registry/garbage/collect.ts';
import type { CollectReport } from '../registry/garbage/collection.ts';
import { dueFrom } from '../registry/garbage/epoch.ts';
import { openStorage } from './open-storage.ts';
import { counted, createProgressLine, formatBytes } from './progress.ts';

export interface GarbageCollectOptions {
  config: string | undefined;
  dryRun?: boolean | undefined;
  /** Also manifests that no tag, index or subject keeps. */
  deleteUntagged?: boolean | undefined;
  /** No list of what is garbage. */
  quiet?: boolean | undefined;
  /** Milliseconds; undefined: as configured. */
  delay?: number | undefined;
  /** Milliseconds; undefined: as configured. */
  grace?: number | undefined;
  json?: boolean | undefined;
}

/** The original's command and flags, without its downtime. @returns the exit code */
export async function garbageCollect(options: GarbageCollectOptions): Promise<number> {
  const { dryRun = false, json = false } = options;
  const { driver, settings } = await openStorage(options.config, { readOnly: dryRun });
  const { garbage } = settings;
  const quiet = options.quiet === true || json;
  const progress = createProgressLine({ quiet });
  const { grace = garbage.grace, delay = garbage.delay } = options;
  try {
    const report = await collectGarbage(driver, {
      dryRun,
      untagged: options.deleteUntagged === true || garbage.untagged,
      delay,
      grace,
      onGarbage(item, size) {
        if (quiet) return;
        progress.clear();
        const where = item.kind === 'blob' ? formatBytes(size) : item.repository;
        process.stdout.write(`${item.kind} ${item.digest} (${where})\n`);
      },
      onProgress: (at) => progress.show(at),
    });
    progress.clear();
    process.stdout.write(
      json
        ? `${JSON.stringify({ dryRun, ...report })}\n`
        : describe(report, { dryRun, delay, grace }),
    );
    return 0;
  } finally {
    progress.clear();
    await driver.close();
  }
}

function describe(
  report: CollectReport,
  { dryRun, delay, grace }: { dryRun: boolean; delay: number; grace: number },
): string {
  const { repositories, kept, absent, garbage, freed, removedRepositories, young, trash } = report;
  const went = dryRun ? 'would go to the trash' : 'went to the trash';
  const lines = [
    `${counted(repositories, 'repository', 'repositories')}: ${counted(kept.manifests, 'manifest')} and ${counted(kept.blobs - young.blobs, 'blob')} in use`,
    `${counted(garbage.manifests, 'manifest')}, ${counted(garbage.layers, 'layer link')} and ${counted(garbage.blobs, 'blob')} with ${formatBytes(garbage.bytes)} ${went}`,
  ];
  if (absent.manifests > 0) {
    const [they, their] =
      absent.manifests === 1 ? ['is', 'its repository'] : ['are', 'their repositories'];
    lines.push(
      `${counted(absent.manifests, 'manifest')} ${they} missing or damaged: nothing of ${their} goes; fsck names them`,
    );
  }
  if (removedRepositories > 0) {
    lines.push(
      `empty repositories that ${dryRun ? 'would go' : 'are gone'}: ${removedRepositories}`,
    );
  }
  if (!dryRun) {
    lines.push(
      `${counted(freed.items, 'item')} (${formatBytes(freed.bytes)}) removed for good from the trash`,
    );
    if (garbage.blobs > 0 && grace > 0) {
      const due = dueFrom(new Date(), grace).toISOString();
      lines.push(`their space is freed by a collection that runs at ${due} or later`);
    }
  }
  if (young.layers + young.blobs > 0) {
    lines.push(
      `${counted(young.layers, 'layer link')} and ${counted(young.blobs, 'blob')} with ${formatBytes(young.bytes)} are not referred to, but younger than the delay of ${formatDuration(delay)}`,
    );
  }
  if (trash.since !== undefined) {
    const next = dueFrom(trash.since, grace).toISOString();
    lines.push(`in the trash: ${counted(trash.items, 'item')}; the oldest can go from ${next} on`);
  }
  return `${lines.join('\n')}\n`;
}
