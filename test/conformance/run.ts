/**
 * Runs the conformance program of the distribution specification against a stack with TLS and login,
 * in every profile, and prints what it counted. Exits with 1 unless nothing failed and nothing was
 * skipped.
 *
 *     make conformance PROGRAM=/path/to/conformance
 *
 * The program is built from a checkout of the specification: `go build -C conformance -o conformance .`
 */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startConfigured } from '../support/configured-stack.ts';
import { mustRun, run } from '../support/run.ts';

interface Profile {
  name: string;
  /** Accept what refers to content that is not here. */
  sparse: boolean;
  http2: boolean;
  env: Record<string, string>;
}

/** Everything the development version has, whatever its defaults leave out. */
const everything = {
  OCI_VERSION: 'dev',
  OCI_API_BLOBS_DIGEST_HEADER: 'true',
  OCI_API_BLOBS_UPLOAD_CANCEL: 'true',
  OCI_API_MANIFESTS_DIGEST_HEADER: 'true',
  OCI_API_MANIFESTS_TAG_PARAM: 'true',
};

const profiles: Profile[] = [false, true].flatMap((http2) => [
  { name: 'stable', sparse: false, http2, env: { OCI_VERSION: 'stable' } },
  { name: 'dev', sparse: false, http2, env: { OCI_VERSION: 'dev' } },
  { name: 'dev, everything', sparse: false, http2, env: everything },
  {
    name: 'dev, everything, sparse',
    sparse: true,
    http2,
    env: { ...everything, OCI_DATA_SPARSE: 'true' },
  },
]);

async function runProfile(program: string, profile: Profile): Promise<boolean> {
  const stack = await startConfigured({
    tls: true,
    users: { conformance: 'a password of this run' },
    http: profile.http2 ? { http2: { disabled: false } } : {},
    sections: () => (profile.sparse ? { validation: { disabled: true } } : {}),
  });
  const folder = await mkdtemp(join(tmpdir(), 'portcullis-conformance-'));
  try {
    const { stdout, stderr } = await run(program, [], {
      cwd: folder,
      timeout: 600_000,
      env: {
        ...profile.env,
        SSL_CERT_FILE: stack.ca,
        GODEBUG: profile.http2 ? '' : 'http2client=0',
        OCI_REGISTRY: `localhost:${stack.port}`,
        OCI_TLS: 'enabled',
        OCI_USERNAME: 'conformance',
        OCI_PASSWORD: 'a password of this run',
        OCI_RESULTS_DIR: join(folder, 'results'),
      },
    });
    const junit = await readFile(join(folder, 'results', 'junit.xml'), 'utf8').catch(() => '');
    const [tests, failed, skipped, errors] = ['tests', 'failures', 'skipped', 'errors'].map((key) =>
      Number(new RegExp(`<testsuite [^>]*?${key}="(\\d+)"`).exec(junit)?.[1] ?? 0),
    );
    const what = `${profile.name}, HTTP/${profile.http2 ? '2' : '1.1'}`;
    process.stdout.write(
      `${what}: ${tests} tests, ${failed} failed, ${errors} errors, ${skipped} skipped\n`,
    );
    const green = failed === 0 && errors === 0 && !((skipped ?? 0) > 0) && Number(tests) > 0;
    if (!green) {
      const kept = await mkdtemp(join(tmpdir(), 'portcullis-conformance-results-'));
      await mustRun('cp', ['-a', `${folder}/.`, kept]);
      process.stdout.write(`${stdout.slice(-3000)}${stderr.slice(-3000)}\nresults: ${kept}\n`);
    }
    return green;
  } finally {
    await stack.remove();
    await rm(folder, { recursive: true, force: true });
  }
}

const [program] = process.argv.slice(2);
if (program === undefined) {
  process.stderr.write('usage: make conformance PROGRAM=/path/to/conformance\n');
  process.exit(2);
}
let green = true;
for (const profile of profiles) green = (await runProfile(program, profile)) && green;
process.exit(green ? 0 : 1);
