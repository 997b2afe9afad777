import assert from 'node:assert/strict';
import type { DockerEngine } from './docker-engine.ts';
import { freePort } from './free-port.ts';
import { run } from './run.ts';
import { waitFor } from './wait-for.ts';

/** A container of our image that serves on the loopback interface. */
export interface RegistryContainer {
  name: string;
  /** `127.0.0.1:port`. */
  registry: string;
  logs(): Promise<string>;
  /** User ids of the processes in it, by service; `supervisor` is the first. */
  users(): Promise<Record<string, number>>;
  /** @returns the exit code */
  stop(): Promise<number>;
}

export interface ContainerOptions {
  /** Options of `docker run`, and what stands behind the image. */
  options?: readonly string[];
  args?: readonly string[];
  scheme?: 'http' | 'https';
}

let count = 0;

/** Runs the image; it listens where `REGISTRY_HTTP_ADDR` says, which is set here. */
export async function runRegistry(
  engine: DockerEngine,
  { options = [], args = [], scheme = 'http' }: ContainerOptions = {},
): Promise<RegistryContainer> {
  count += 1;
  const name = `registry-${count}`;
  const port = await freePort();
  const registry = `127.0.0.1:${port}`;
  const address = ['--env', `REGISTRY_HTTP_ADDR=${registry}`];
  const common = ['run', '--detach', '--network', 'host', '--name', name, ...address];
  await engine.mustDocker([...common, ...options, 'portcullis', ...args]);
  const logs = async () => {
    const { stdout, stderr } = await engine.docker(['logs', name]);
    return stdout + stderr;
  };
  const state = async (format: string) =>
    (await engine.mustDocker(['inspect', '--format', format, name])).trim();
  await waitFor(`${name} to serve`, async () => {
    if ((await state('{{.State.Running}}')) !== 'true') throw new Error(await logs());
    const { code } = await run('curl', ['-ksf', `${scheme}://${registry}/readyz`]);
    return code === 0;
  }).catch(async (error: unknown) => {
    throw new Error(`${(error as Error).message}\n${await logs()}`, { cause: error });
  });
  return {
    name,
    registry,
    logs,
    async users() {
      const table = await engine.mustDocker(['top', name, '-eo', 'pid,uid,args']);
      const rows = [...table.matchAll(/^\s*\d+\s+(\d+)\s.*\/services\/(\w+)\/main\.ts/gm)];
      return Object.fromEntries(
        rows.map(([, uid, service = '']) => [
          service === 'portcullis' ? 'supervisor' : service,
          Number(uid),
        ]),
      );
    },
    async stop() {
      await engine.mustDocker(['stop', '--time', '20', name]);
      const code = Number(await state('{{.State.ExitCode}}'));
      assert.ok(Number.isInteger(code));
      return code;
    },
  };
}
