import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { freePort } from './free-port.ts';
import { mustRun } from './run.ts';
import { launcher, type Stack, startStack } from './stack.ts';

export interface ConfiguredOptions {
  /** Sections laid over a plain HTTP registry with a filesystem below `dir`. */
  sections?: (dir: string) => Record<string, unknown>;
  /** Laid over the section `http`. */
  http?: Record<string, unknown>;
  /** Called when the folder is there, before the start. */
  prepare?: (dir: string) => Promise<void>;
  /** Users to make, with their passwords; htpasswd is configured if there are any. */
  users?: Record<string, string>;
  env?: Record<string, string>;
  /** Serves `https://localhost` with a certificate of a CA of its own, which is `ca`. */
  tls?: boolean;
}

/** A stack with a configuration of the test's own, on 127.0.0.1, without TLS unless it says otherwise. */
export async function startConfigured({
  sections = () => ({}),
  http = {},
  prepare = async () => {},
  users = {},
  env = {},
  tls = false,
}: ConfiguredOptions = {}): Promise<Stack> {
  const dir = await mkdtemp(join(tmpdir(), 'portcullis-test-'));
  const port = await freePort();
  const htpasswd = join(dir, 'htpasswd');
  await mkdir(join(dir, 'registry'));
  for (const [name, password] of Object.entries(users)) {
    await mustRun(launcher, ['user', 'add', '--file', htpasswd, name], { input: password });
  }
  const certificates = join(dir, 'certs');
  if (tls) await mustRun(launcher, ['certs', certificates, 'localhost']);
  const pair = { certificate: join(certificates, 'site.crt'), key: join(certificates, 'site.key') };
  const config = {
    version: '0.1',
    storage: { filesystem: { rootdirectory: join(dir, 'registry') }, delete: { enabled: true } },
    http: { addr: `127.0.0.1:${port}`, ...(tls ? { tls: pair } : {}), ...http },
    ...(Object.keys(users).length === 0
      ? {}
      : { auth: { htpasswd: { realm: 'Test', path: htpasswd } } }),
    ...sections(dir),
  };
  const path = join(dir, 'config.yml');
  await writeFile(path, stringify(config));
  await prepare(dir);
  const stack = await startStack({ dir, port, env, args: ['serve', path] });
  return {
    ...stack,
    url: tls ? `https://localhost:${port}` : `http://127.0.0.1:${port}`,
    async remove() {
      await stack.stop();
      await rm(dir, { recursive: true, force: true });
    },
  };
}
