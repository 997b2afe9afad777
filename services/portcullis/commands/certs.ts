import { join, resolve } from 'node:path';
import { makeFolders } from '#libs/files/make-folders.ts';
import { switchToControllerOf } from '#libs/process/drop-privileges.ts';
import { ensureCertificates } from '../certificates.ts';

/** A CA, unless there is one, and a site certificate for the names. @returns the exit code */
export async function certs(folder: string, names: readonly string[]): Promise<number> {
  const dir = resolve(folder);
  const files = ['ca.key', 'ca.crt', 'site.key', 'site.crt'].map((name) => join(dir, name));
  await switchToControllerOf(...files);
  await makeFolders(dir);
  // Somebody else may have made it in the meantime.
  await switchToControllerOf(...files);
  const { ca, site, names: all, problem, keptAs } = await ensureCertificates(dir, names);
  if (problem !== undefined) throw new Error(problem);
  if (site === 'theirs') {
    throw new Error(
      `${dir}/site.crt and site.key are none of ${dir}/ca.crt, so they stay; move them away to have others made`,
    );
  }
  if (keptAs !== undefined) {
    process.stdout.write(`kept: the certificate of another CA that was there, as ${keptAs}\n`);
  }
  process.stdout.write(
    `${ca === 'made' ? 'made' : 'kept'}: ${dir}/ca.crt (give it to your clients)\n` +
      `${site === 'made' ? 'made' : 'kept'}: ${dir}/site.crt, ${dir}/site.key (for ${all.join(', ')})\n`,
  );
  return 0;
}
