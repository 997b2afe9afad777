/**
 * Pushes images of many small layers as docker does, or pulls one as many clients at once: `layers-client.ts push|pull URL CA
 * SECONDS`, with the value of `Authorization` in the environment. Prints images and the share of a processor that this process
 * took: what is well below 1 was not the limit.
 */
import { createHash, randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { Agent, request } from 'node:https';

const [what = '', address = '', authority = '', seconds = '5'] = process.argv.slice(2);
const { AUTHORIZATION: authorization = '' } = process.env;
const ca = readFileSync(authority);
const login = authorization === '' ? {} : { Authorization: authorization };
const layers = 40;
const layerSize = 16 * 1024;
/** Layers that docker pushes at once, and pulls at once. */
const atOnce = { push: 5, pull: 3 };
const clients = 32;
const manifestType = 'application/vnd.oci.image.manifest.v1+json';
const octets = 'application/octet-stream';

interface Answer {
  status: number;
  location: string;
  body: Buffer;
}

async function ask(
  agent: Agent,
  method: string,
  path: string,
  { body, type }: { body?: Buffer; type?: string } = {},
): Promise<Answer> {
  return await new Promise((resolve, reject) => {
    const headers = {
      ...login,
      Accept: manifestType,
      ...(type === undefined ? {} : { 'Content-Type': type }),
      'Content-Length': body?.length ?? 0,
    };
    const outgoing = request(new URL(path, address), { agent, method, headers, ca });
    outgoing.once('error', reject);
    outgoing.once('response', (incoming) => {
      const pieces: Buffer[] = [];
      incoming.on('data', (piece: Buffer) => pieces.push(piece));
      incoming.once('end', () => {
        const { statusCode: status = 0, headers: given } = incoming;
        if (status >= 400 && status !== 404) reject(new Error(`${method} ${path}: ${status}`));
        resolve({ status, location: given.location ?? '', body: Buffer.concat(pieces) });
      });
    });
    outgoing.end(body);
  });
}

/** Does something with each of a list, some at once. */
async function each<T>(list: readonly T[], most: number, action: (one: T) => Promise<unknown>) {
  const left = [...list];
  await Promise.all(
    Array.from({ length: most }, async () => {
      for (let one = left.shift(); one !== undefined; one = left.shift()) await action(one);
    }),
  );
}

function describe(bytes: Buffer, mediaType: string) {
  const digest = `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
  return { mediaType, size: bytes.length, digest };
}

async function pushBlob(agent: Agent, bytes: Buffer): Promise<void> {
  const { digest } = describe(bytes, '');
  await ask(agent, 'HEAD', `/v2/bench/layers/blobs/${digest}`);
  const opened = await ask(agent, 'POST', '/v2/bench/layers/blobs/uploads/');
  const sent = await ask(agent, 'PATCH', opened.location, { body: bytes, type: octets });
  const end = new URL(sent.location, address);
  end.searchParams.set('digest', digest);
  await ask(agent, 'PUT', end.pathname + end.search, { type: octets });
}

async function pushImage(agent: Agent, tag: string): Promise<void> {
  const blobs = Array.from({ length: layers }, () => randomBytes(layerSize));
  const config = Buffer.from(JSON.stringify({ made: randomBytes(8).toString('hex') }));
  await each([...blobs, config], atOnce.push, (bytes) => pushBlob(agent, bytes));
  const manifest = {
    schemaVersion: 2,
    mediaType: manifestType,
    config: describe(config, 'application/vnd.oci.image.config.v1+json'),
    layers: blobs.map((bytes) => describe(bytes, 'application/vnd.oci.image.layer.v1.tar+gzip')),
  };
  const body = Buffer.from(JSON.stringify(manifest));
  await ask(agent, 'PUT', `/v2/bench/layers/manifests/${tag}`, { body, type: manifestType });
}

async function pullImage(agent: Agent, tag: string): Promise<void> {
  const { body } = await ask(agent, 'GET', `/v2/bench/layers/manifests/${tag}`);
  const { layers: descriptors } = JSON.parse(body.toString()) as { layers: { digest: string }[] };
  await each(descriptors, atOnce.pull, async ({ digest }) => {
    const answer = await ask(agent, 'GET', `/v2/bench/layers/blobs/${digest}`);
    if (answer.body.length !== layerSize) throw new Error(`${digest}: ${answer.body.length} bytes`);
  });
}

const agents = Array.from(
  { length: what === 'push' ? 1 : clients },
  () => new Agent({ keepAlive: true, maxSockets: what === 'push' ? atOnce.push : atOnce.pull }),
);
await pushImage(agents[0] as Agent, 'first');
const before = process.cpuUsage();
const began = performance.now();
const isOver = () => performance.now() - began > Number(seconds) * 1000;
let images = 0;
await Promise.all(
  agents.map(async (agent) => {
    while (!isOver()) {
      if (what === 'push') await pushImage(agent, `v${images}`);
      else await pullImage(agent, 'first');
      images += 1;
    }
  }),
);
const { user, system } = process.cpuUsage(before);
const elapsed = (performance.now() - began) / 1000;
const share = (user + system) / 1e6 / elapsed;
process.stdout.write(
  `${images} images in ${elapsed.toFixed(2)} s, ${share.toFixed(2)} of a processor\n`,
);
for (const agent of agents) agent.destroy();
