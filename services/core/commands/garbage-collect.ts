import { parseArgs } from 'node:util';
import { UsageError } from '#libs/process/usage-error.ts';
import { parseDuration } from '#libs/values/duration.ts';
import { type CollectReport, collectGarbage } from '../registry/garbage/collect.ts';
import { openStorage } from './open-storage.ts';
import { counted, createProgressLine, formatBytes } from './progress.ts';

export const garbageCollectUsage = `usage: portcullis garbage-collect [OPTIONS] CONFIG

CONFIG may be left out where REGISTRY_CONFIGURATION_PATH names it.

Takes away what nothing refers to, while the registry serves. It goes to a trash first, from which
whatever is missed comes back; what has been there for longer than the grace is removed for good.

  -d, --dry-run          only tell what is garbage
  -m, --delete-untagged  also manifests that no tag, no index and no subject keeps
  -q, --quiet            no list of what is garbage
      --delay DURATION   nothing younger is garbage (portcullis.gc.delay, 1h)
      --grace DURATION   how long the trash keeps things (portcullis.gc.grace, 24h);
                         0s frees the space at once: only while nobody pushes
      --json             the result as JSON
`;

/** `garbage-collect`: the original's command and flags, without its downtime. */
export async function garbageCollect(args: string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args: args.flatMap(asFlag),
    allowPositionals: true,
    options: {
      'dry-run': { type: 'boolean', short: 'd', default: false },
      'delete-untagged': { type: 'boolean', short: 'm', default: false },
      quiet: { type: 'boolean', short: 'q', default: false },
      delay: { type: 'string' },
      grace: { type: 'string' },
      json: { type: 'boolean', default: false },
    },
  });
  const dryRun = values['dry-run'];
  const { driver, settings } = await openStorage(positionals, garbageCollectUsage, {
    readOnly: dryRun,
  });
  const { garbage } = settings;
  const quiet = values.quiet || values.json;
  const progress = createProgressLine({ quiet });
  const grace = readDuration('--grace', values.grace, garbage.grace);
  try {
    const report = await collectGarbage(driver, {
      dryRun,
      untagged: values['delete-untagged'] || garbage.untagged,
      delay: readDuration('--delay', values.delay, garbage.delay),
      grace,
      onGarbage(item, size) {
        if (quiet) return;
        progress.clear();
        const where = item.kind === 'blob' ? formatBytes(size) : item.repository;
        process.stdout.write(`${item.kind} ${item.digest} (${where})\n`);
      },
      onProgress: ({ phase, done }) => progress.show(`${phase}: ${done}`),
    });
    progress.clear();
    process.stdout.write(
      values.json ? `${JSON.stringify({ dryRun, ...report })}\n` : describe(report, dryRun, grace),
    );
    return 0;
  } finally {
    progress.clear();
    await driver.close();
  }
}

/** The original's flags may be given a value: `--delete-untagged=true`. */
function asFlag(arg: string): string[] {
  const match = /^(--(?:dry-run|delete-untagged|quiet)|-[dmq])=(true|false|1|0|t|f)$/i.exec(arg);
  if (match === null) return [arg];
  return /^[1t]/i.test(match[2] ?? '') ? [match[1] ?? ''] : [];
}

/** @throws UsageError for what is no duration */
function readDuration(option: string, text: string | undefined, preset: number): number {
  if (text === undefined) return preset;
  const duration = parseDuration(text);
  if (duration !== undefined) return duration;
  throw new UsageError(`${option}: "${text}" is not a duration such as 10s, 5m or 1h30m`);
}

function describe(report: CollectReport, dryRun: boolean, grace: number): string {
  const { repositories, kept, garbage, freed, removedRepositories } = report;
  const went = dryRun ? 'would go to the trash' : 'went to the trash';
  const lines = [
    `${counted(repositories, 'repository')}: ${counted(kept.manifests, 'manifest')} and ${counted(kept.blobs, 'blob')} in use`.replace(
      'repositorys',
      'repositories',
    ),
    `${counted(garbage.manifests, 'manifest')}, ${counted(garbage.layers, 'layer link')} and ${counted(garbage.blobs, 'blob')} with ${formatBytes(garbage.bytes)} ${went}`,
  ];
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
      const hours = Math.round(grace / 360_000) / 10;
      lines.push(`their space is freed by a collection that runs ${hours} h from now or later`);
    }
  }
  return `${lines.join('\n')}\n`;
}
