import { resolve } from 'node:path';
import { UsageError } from '#libs/process/usage-error.ts';
import { ensureCertificates } from '../certificates.ts';
import type { Command } from '../command.ts';

/** `certs DIR NAME…`: a CA, unless there is one, and a site certificate for the names. */
export const certs: Command = async ([folder, ...names]) => {
  if (folder === undefined || names.length === 0 || folder.startsWith('-')) {
    throw new UsageError('usage: portcullis certs DIR NAME_OR_ADDRESS...');
  }
  const dir = resolve(folder);
  const { ca, site } = await ensureCertificates(dir, names);
  process.stdout.write(
    `${ca === 'made' ? 'made' : 'kept'}: ${dir}/ca.crt (give it to your clients)\n` +
      `${site === 'made' ? 'made' : 'kept'}: ${dir}/site.crt, ${dir}/site.key\n`,
  );
  return 0;
};
