import { copyFile, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { type RunResult, run } from './run.ts';

/** What skopeo needs to reach a registry. */
export interface SkopeoOptions {
  /** A folder of the caller's for certificates and caches. */
  dir: string;
  /** The CA of the registry; undefined for plain HTTP. */
  ca?: string;
  credentials?: string;
}

export interface Skopeo {
  copy(from: string, to: string, ...more: string[]): Promise<RunResult>;
  inspect(image: string): Promise<{ Digest: string; RepoTags: string[] }>;
}

/** The real skopeo, for one registry on either side of a copy. */
export async function prepareSkopeo({ dir, ca, credentials }: SkopeoOptions): Promise<Skopeo> {
  const certificates = join(dir, 'skopeo-certs');
  await mkdir(certificates, { recursive: true });
  if (ca !== undefined) await copyFile(ca, join(certificates, 'ca.crt'));
  const env = { XDG_DATA_HOME: join(dir, 'skopeo-data'), HOME: dir };
  const access = (side: '' | 'src-' | 'dest-') => [
    ...(ca === undefined ? [`--${side}tls-verify=false`] : [`--${side}cert-dir`, certificates]),
    ...(credentials === undefined ? [] : [`--${side}creds`, credentials]),
  ];
  const sides = (from: string, to: string) => [
    ...(from.startsWith('docker:') ? access('src-') : []),
    ...(to.startsWith('docker:') ? access('dest-') : []),
  ];
  return {
    copy: (from, to, ...more) =>
      run('skopeo', ['--insecure-policy', 'copy', ...sides(from, to), ...more, from, to], { env }),
    async inspect(image) {
      const { code, stdout, stderr } = await run('skopeo', ['inspect', ...access(''), image], {
        env,
      });
      if (code !== 0) throw new Error(stderr);
      return JSON.parse(stdout) as { Digest: string; RepoTags: string[] };
    },
  };
}
