/**
 * What requests cost where there are several of each process, in processor time of each kind of process:
 * the figures that docs/scaling.md reckons with. Unlike time on the clock they hardly depend on what else
 * the machine does. Hops over TCP, TLS at the gateway, one client machine; `make bench`.
 */
import { readFileSync } from 'node:fs';
import { startFleet } from '../support/fleet.ts';
import { makeImage, makeLayer } from '../support/images.ts';
import { type Answer, RegistryClient } from '../support/registry-client.ts';

const MiB = 1024 * 1024;
const kinds = ['gateway', 'auth', 'core', 'redis'] as const;
type Kind = (typeof kinds)[number];

const fleet = await startFleet({ gateways: 1, auths: 1, cores: 2 });
const credentials = `${fleet.user}:${fleet.password}`;
const client = await RegistryClient.create({ url: fleet.url, ca: fleet.ca, credentials });

/** Seconds of processor time that a process has had; the kernel counts in hundredths. */
function seconds(pid: number | undefined): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

function spent(): Record<Kind, number> {
  const sum = (members: readonly { child: { pid?: number | undefined } }[]) =>
    members.reduce((total, { child }) => total + seconds(child.pid), 0);
  return {
    gateway: sum(fleet.gateways),
    auth: sum(fleet.auths),
    core: sum(fleet.cores),
    redis: sum([fleet.redis]),
  };
}

/** Does something many times, some at once, and prints what one costs. */
async function measure(
  name: string,
  { times, atOnce, unit = 'ms' }: { times: number; atOnce: number; unit?: 'ms' | 's' },
  action: (number: number) => Promise<unknown>,
): Promise<void> {
  let next = 0;
  async function repeat(until: number): Promise<void> {
    const work = Array.from({ length: atOnce }, async () => {
      while (next < until) {
        next += 1;
        await action(next);
      }
    });
    await Promise.all(work);
  }
  // So that everything is loaded, and compiled as it is in a process that runs for long.
  const first = Math.ceil(times / 2);
  await repeat(first);
  const before = spent();
  const began = performance.now();
  await repeat(first + times);
  const wall = (performance.now() - began) / 1000;
  const after = spent();
  // Of bytes, 64 MiB are moved each time.
  const factor = unit === 'ms' ? 1000 : 16;
  const costs = kinds.map((kind) => {
    const cost = ((after[kind] - before[kind]) / times) * factor;
    return `${kind} ${cost.toFixed(unit === 'ms' ? 3 : 2)}`;
  });
  const rate =
    unit === 'ms'
      ? `${(times / wall).toFixed(0)}/s`
      : `${((wall / times) * factor).toFixed(2)} s each`;
  process.stdout.write(`${name.padEnd(34)} ${unit}: ${costs.join('  ')}  (${rate})\n`);
}

function must(status: number, answer: Answer): Answer {
  if (answer.status !== status) throw new Error(`${answer.status}: ${String(answer.body)}`);
  return answer;
}

try {
  const image = makeImage();
  await client.push('bench/app', 'v1', image);
  const scope = 'repository:bench/app:pull,push';
  const token = async () => {
    const path = `/v2/_token?service=portcullis&scope=${scope}`;
    const { body } = must(200, await client.ask('GET', path));
    return (JSON.parse(body.toString()) as { token: string }).token;
  };
  const headers = { authorization: `Bearer ${await token()}` };
  const small = { times: 4000, atOnce: 16 };

  await measure('a token (password known)', small, token);
  await measure('GET /v2/ with a token', small, async () =>
    must(200, await client.ask('GET', '/v2/', { headers })),
  );
  await measure('GET of a manifest', small, async () =>
    must(200, await client.ask('GET', '/v2/bench/app/manifests/v1', { headers })),
  );
  const [blob] = image.blobs;
  await measure('HEAD of a blob', small, async () =>
    must(
      200,
      await client.ask('HEAD', `/v2/bench/app/blobs/${blob?.descriptor.digest}`, { headers }),
    ),
  );
  await measure('POST of an upload and DELETE', { times: 1000, atOnce: 16 }, async () => {
    const { headers: opened } = must(
      202,
      await client.ask('POST', '/v2/bench/app/blobs/uploads/', { headers }),
    );
    must(204, await client.ask('DELETE', opened.location ?? '', { headers }));
  });
  await measure('a push of 3 small blobs, manifest', { times: 300, atOnce: 8 }, async (number) =>
    client.push('bench/app', `t${number}`, makeImage()),
  );

  const layer = makeLayer(64 * MiB);
  const perGiB = { times: 16, atOnce: 2, unit: 's' } as const;
  const upload = await client.startUpload('bench/app');
  must(202, await client.ask('PATCH', upload, { body: layer.bytes }));
  must(201, await client.finishUpload(upload, layer.descriptor.digest));
  const path = `/v2/bench/app/blobs/${layer.descriptor.digest}`;
  await measure('a GiB down', perGiB, async () =>
    must(200, await client.ask('GET', path, { headers })),
  );
  await measure('a GiB up', perGiB, async () => {
    const fresh = await client.startUpload('bench/app');
    must(202, await client.ask('PATCH', fresh, { body: layer.bytes }));
    must(201, await client.finishUpload(fresh, layer.descriptor.digest));
  });
} finally {
  client.close();
  await fleet.remove();
}
