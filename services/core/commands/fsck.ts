import { parseArgs } from 'node:util';
import { type CheckProgress, type CheckReport, checkTree } from '../registry/fsck/check-tree.ts';
import { openStorage } from './open-storage.ts';
import { bar, counted, createProgressLine, formatBytes } from './progress.ts';

export const fsckUsage = `usage: portcullis fsck [OPTIONS] CONFIG

CONFIG may be left out where REGISTRY_CONFIGURATION_PATH names it.

Looks through the storage, ours or the original registry's, while it is served: links that lead
nowhere, blobs whose bytes are not what their digest says, uploads that nobody will finish.

      --repair           makes right what can be without losing anything
      --quick            does not read the blobs
      --json             the result as JSON

Exit codes: 0 nothing is wrong, or everything was repaired; 4 something is; 1 it could not look;
2 the command line is wrong.
`;

/** A day: an upload without a date is not young by then. */
const uploadAge = 24 * 60 * 60 * 1000;

/** `fsck`: what is wrong with the tree. */
export async function fsck(args: string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      repair: { type: 'boolean', default: false },
      quick: { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
    },
  });
  const { repair } = values;
  const { driver, settings } = await openStorage(positionals, fsckUsage, { readOnly: !repair });
  const progress = createProgressLine({ quiet: values.json });
  try {
    const age = Math.max(uploadAge, settings.uploadPurging?.age ?? 0);
    const report = await checkTree(driver, {
      repair,
      hash: !values.quick,
      uploadsBefore: new Date(Date.now() - age),
      onProgress: (at) => progress.show(describeProgress(at)),
    });
    progress.clear();
    process.stdout.write(values.json ? `${JSON.stringify(report)}\n` : describe(report));
    return report.findings.every(({ repaired }) => repaired) ? 0 : 4;
  } finally {
    progress.clear();
    await driver.close();
  }
}

function describeProgress({ phase, done, total }: CheckProgress): string {
  return total === undefined ? `${phase}: ${done}` : `${phase} ${bar(done, total)}`;
}

function describe({ findings, summary }: CheckReport): string {
  const lines = findings.map(({ kind, repository, subject, message, repaired, repairable }) => {
    const where = repository === undefined ? subject : `${repository} ${subject}`;
    const done = repaired ? ' [repaired]' : repairable ? ' [--repair can make it right]' : '';
    return `${kind}: ${where}: ${message}${done}`;
  });
  const { repositories, manifests, tags, blobs, unreferenced, trash } = summary;
  lines.push(
    `looked at: repositories ${repositories}, manifests ${manifests}, tags ${tags}, blobs ${blobs.count} with ${formatBytes(blobs.bytes)}`,
    `unreferenced: ${counted(unreferenced.count, 'blob')} with ${formatBytes(unreferenced.bytes)}; in the trash: ${trash.count}`,
    findings.length === 0
      ? 'nothing is wrong'
      : `found: ${findings.length}, repaired: ${findings.filter(({ repaired }) => repaired).length}`,
  );
  return `${lines.join('\n')}\n`;
}
