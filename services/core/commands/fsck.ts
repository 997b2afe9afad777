import { type CheckReport, checkTree } from '../registry/fsck/check-tree.ts';
import type { FindingKind } from '../registry/fsck/finding.ts';
import { openForRepair, openStorage } from './open-storage.ts';
import { counted, createProgressLine, formatBytes } from './progress.ts';

/** A day: an upload without a date is not young by then. */
const uploadAge = 24 * 60 * 60 * 1000;

export interface FsckOptions {
  config: string | undefined;
  /** Makes right what can be. */
  repair?: boolean | undefined;
  /** Does not read the blobs. */
  quick?: boolean | undefined;
  json?: boolean | undefined;
}

/** What is wrong with the tree. @returns the exit code: 4 if something is, and was not repaired */
export async function fsck(options: FsckOptions): Promise<number> {
  const { config, repair = false, quick = false, json = false } = options;
  const { driver, settings, locks, close } = repair
    ? await openForRepair(config)
    : await openToLook(config);
  const progress = createProgressLine({ quiet: json });
  try {
    const age = Math.max(uploadAge, settings.uploadPurging?.age ?? 0);
    const report = await checkTree(driver, {
      repair: locks,
      hash: !quick,
      uploadsBefore: new Date(Date.now() - age),
      onProgress: (at) => progress.show(at),
    });
    progress.clear();
    process.stdout.write(json ? `${JSON.stringify(report)}\n` : describe(report));
    return report.findings.every(({ repaired }) => repaired) ? 0 : 4;
  } finally {
    progress.clear();
    await close();
  }
}

async function openToLook(config: string | undefined) {
  const { driver, settings } = await openStorage(config, { readOnly: true });
  return { driver, settings, locks: undefined, close: () => driver.close() };
}

/** What a repair does: what leads nowhere is kept by a note, in case that the bytes come back, and a damaged blob in the trash. */
const doneTo = (kind: FindingKind) =>
  kind === 'damaged-blob' || kind.startsWith('dangling-') ? 'put aside' : 'repaired';

function describe({ findings, summary }: CheckReport): string {
  const lines = findings.map(({ kind, repository, subject, message, repaired, repairable }) => {
    const where = repository === undefined ? subject : `${repository} ${subject}`;
    const done = repaired
      ? ` [${doneTo(kind)}]`
      : repairable
        ? ' [--repair can make it right]'
        : '';
    return `${kind}: ${where}: ${message}${done}`;
  });
  const { repositories, manifests, tags, blobs, unreferenced, uploads, trash } = summary;
  lines.push(
    `looked at: repositories ${repositories}, manifests ${manifests}, tags ${tags}, blobs ${blobs.count} with ${formatBytes(blobs.bytes)}`,
    `unreferenced: ${counted(unreferenced.count, 'blob')} with ${formatBytes(unreferenced.bytes)}; in the trash: ${trash.count}; open uploads: ${uploads.count} with ${formatBytes(uploads.bytes)}`,
    findings.length === 0
      ? 'nothing is wrong'
      : `found: ${findings.length}, repaired: ${findings.filter(({ repaired }) => repaired).length}`,
  );
  return `${lines.join('\n')}\n`;
}
