import type { DockerEngine } from '../../support/docker-engine.ts';
import { type Contender, clearBlobs } from './contenders.ts';
import { type Cost, measured } from './loads.ts';

/** The name of an image in a registry that docker speaks to. */
function nameIn({ url }: Contender): string {
  return `${url.replace('https://', '')}/bench/docker:v1`;
}

/** Has docker log in where that is asked for. */
export async function logIn(engine: DockerEngine, contender: Contender): Promise<void> {
  const [user, password] = contender.credentials?.split(':') ?? [];
  if (user === undefined || password === undefined) return;
  const to = contender.url.replace('https://', '');
  await engine.mustDocker(['login', '--username', user, '--password-stdin', to], {
    input: password,
  });
}

/**
 * An image pushed by docker, then pulled by it after it was forgotten there.
 * @param image has one layer of so many MiB
 * @returns seconds of the server's processor a GiB, and MiB a second with all that docker does itself
 */
export async function moveByDocker(
  engine: DockerEngine,
  contender: Contender,
  { mebibytes, round }: { mebibytes: number; round: number },
): Promise<{ pushed: Cost; pulled: Cost }> {
  const image = await engine.buildImage(`bench:${round}`, [mebibytes * 1024 * 1024]);
  const name = nameIn(contender);
  await engine.mustDocker(['tag', image, name]);
  await clearBlobs(contender);
  const pushed = await measured(contender, mebibytes, () => engine.mustDocker(['push', name]));
  await engine.mustDocker(['rmi', '--force', name, image]);
  const pulled = await measured(contender, mebibytes, () => engine.mustDocker(['pull', name]));
  await engine.mustDocker(['rmi', '--force', name]);
  return { pushed: aGibibyte(pushed, mebibytes), pulled: aGibibyte(pulled, mebibytes) };
}

const aGibibyte = ({ processor, rate }: Cost, mebibytes: number): Cost => ({
  processor: (processor * 1024) / mebibytes,
  rate,
});
