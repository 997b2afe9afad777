/**
 * What loads cost here and with what one would take instead, in one run: servers on one processor, clients on another, the
 * rounds of all servers in turn. As root, for nginx and docker; needs curl, wrk, nginx, dockerd and docker-registry.
 *
 *     SIZE=1024      MiB of a blob
 *     ROUNDS=3       that are measured, after one that is not
 *     SECONDS_EACH=5 of a load of small requests
 *     DOCKER_SIZE=500 MiB of an image that docker pushes and pulls
 *     PEER=PATH      another program that reads the original's configuration, such as distribution 3
 *     BASE=PATH      a worktree of an earlier commit, with its node_modules
 *     WRITE=1        writes docs/benchmarks.md and its picture
 */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { cpus, tmpdir, totalmem } from 'node:os';
import { join } from 'node:path';
import { startDockerEngine } from '../support/docker-engine.ts';
import { makeImage } from '../support/images.ts';
import { mustRun, run } from '../support/run.ts';
import { launcher } from '../support/stack.ts';
import {
  type Contender,
  clientCpu,
  type Setting,
  startDistribution,
  startNginx,
  startOurs,
} from './compare/contenders.ts';
import { logIn, moveByDocker } from './compare/docker-loads.ts';
import { measureListings } from './compare/listings.ts';
import {
  type Cost,
  latencies,
  moveLayers,
  pull,
  push,
  repeatGet,
  repeatHead,
  writeBlob,
} from './compare/loads.ts';
import { drawBars, formatTable, type Measured } from './compare/report.ts';
import { memoryOf } from './compare/spent.ts';
import { measureWorkers } from './compare/workers.ts';

const mebibytes = Number(process.env.SIZE ?? 1024);
const rounds = Number(process.env.ROUNDS ?? 3);
const seconds = Number(process.env.SECONDS_EACH ?? 5);
const dockerSize = Number(process.env.DOCKER_SIZE ?? 500);
const { PEER: peer, BASE: base, WRITE: write } = process.env;

for (const [program, of] of [
  ['curl', 'curl'],
  ['wrk', 'wrk'],
  ['nginx', 'nginx-light'],
  ['docker-registry', 'docker-registry'],
  ['dockerd', 'docker.io'],
] as const) {
  if ((await run('sh', ['-c', `command -v ${program}`])).code === 0) continue;
  process.stderr.write(`bench: ${program} is missing; install it (apt-get install ${of})\n`);
  process.exit(1);
}

// All that we start and that is not a server is a client.
await mustRun('taskset', ['--all-tasks', '--cpu-list', '--pid', clientCpu, `${process.pid}`]);
const dir = await mkdtemp(join(tmpdir(), 'portcullis-bench-'));
const setting: Setting = { dir, certificates: join(dir, 'certs'), launcher };
await mustRun(launcher, ['certs', setting.certificates, 'localhost']);
const file = join(dir, 'blob');
const names = {
  ours: 'portcullis',
  tcp: 'portcullis, links over TCP',
  base: 'portcullis before, links over TCP',
  original: 'docker-registry 2.8, no login',
  htpasswd: 'docker-registry 2.8, htpasswd',
  peer: 'PEER, no login',
  nginx: 'nginx, the file alone',
};
const login = 'repeated login with a hash of cost 5';
const contenders: Contender[] = [];
const measured = new Map<string, Measured>();

function note(
  contender: Pick<Contender, 'name'>,
  load: string,
  value: number,
  what: Pick<Measured, 'unit' | 'less'> & { against?: string },
): void {
  const key = `${load}, ${what.unit}`;
  const known = measured.get(key) ?? { against: names.original, load, rounds: new Map(), ...what };
  const values = known.rounds as Map<string, number[]>;
  values.set(contender.name, [...(values.get(contender.name) ?? []), value]);
  measured.set(key, known);
}

function noteBytes(contender: Contender, load: string, { processor, rate }: Cost): void {
  note(contender, load, processor, { unit: 'processor s/GiB', less: true });
  note(contender, load, rate, { unit: 'MiB/s', less: false });
}

function noteRequests(
  contender: Contender,
  load: string,
  { processor, rate }: Cost,
  against: string = names.original,
): void {
  note(contender, load, rate, { unit: 'requests/s', less: false, against });
  note(contender, load, processor, { unit: 'processor ms', less: true, against });
}

function say(text: string): void {
  process.stderr.write(`${text}\n`);
}

try {
  await writeBlob(file, mebibytes, 0);
  const registries = [
    await startOurs(setting, { name: names.ours, how: 'sockets' }),
    await startOurs(setting, { name: names.tcp, how: 'tcp' }),
    ...(base === undefined
      ? []
      : [
          await startOurs(setting, {
            name: names.base,
            how: 'tcp',
            launcher: join(base, 'bin/portcullis'),
          }),
        ]),
    await startDistribution(setting, { name: names.original, binary: 'docker-registry' }),
    ...(peer === undefined
      ? []
      : [await startDistribution(setting, { name: names.peer, binary: peer })]),
  ];
  contenders.push(...registries);
  const nginx = await startNginx(setting, file);
  contenders.push(nginx);
  for (const one of registries) {
    note(one, 'start to the first answer', one.startedInMs, { unit: 'ms', less: true });
    note(one, 'memory when idle', await memoryOf(one), { unit: 'MiB (PSS)', less: true });
  }

  for (let round = 0; round <= rounds; round += 1) {
    const digest = await writeBlob(file, mebibytes, round);
    const eighth = {
      mebibytes: Math.ceil(mebibytes / 8),
      digest: await writeBlob(`${file}-8`, Math.ceil(mebibytes / 8), round),
    };
    // What was written before must not be written out on somebody's time, nor is anybody always the first.
    await mustRun('sync', []);
    const isMeasured = round > 0;
    const first = round % registries.length;
    for (const one of [...registries.slice(first), ...registries.slice(0, first)]) {
      say(`round ${round}: ${one.name}`);
      const pushed = await push(setting, one, { file, digest, mebibytes });
      const path = `/v2/bench/app/blobs/${digest}`;
      const pulled = await pull(setting, one, { path, mebibytes });
      const eight = await push(setting, one, { ...eighth, file: `${file}-8` }, { atOnce: 8 });
      if (!isMeasured) continue;
      noteBytes(one, 'push of a blob', pushed);
      noteBytes(one, 'pull of a blob', pulled);
      noteBytes(one, 'eight pushes at once', eight);
    }
    const served = await pull(setting, nginx, { path: '/blob', mebibytes });
    if (isMeasured) noteBytes(nginx, 'pull of a blob', served);
  }
  for (const one of registries) {
    note(one, 'memory after the blobs', await memoryOf(one), { unit: 'MiB (PSS)', less: true });
  }

  const image = makeImage('oci');
  const scope = 'repository:bench/app:pull,push';
  const authorizationOf = async (one: Contender) =>
    one.token === undefined ? undefined : `Bearer ${await one.token(scope)}`;
  for (const one of registries) {
    for (const { bytes, descriptor } of [...image.blobs, image]) {
      await pushSmall(
        one,
        bytes,
        descriptor.digest,
        descriptor.mediaType,
        await authorizationOf(one),
      );
    }
  }
  const [blob] = image.blobs;
  const htpasswd = await startDistribution(setting, {
    ...{ name: names.htpasswd, binary: 'docker-registry', htpasswd: true },
  });
  contenders.push(htpasswd);
  for (let round = 0; round <= rounds; round += 1) {
    for (const one of registries) {
      say(`round ${round} of many small layers: ${one.name}`);
      const login = 'repository:bench/layers:pull,push';
      const token = one.token === undefined ? undefined : `Bearer ${await one.token(login)}`;
      for (const what of ['push', 'pull'] as const) {
        const cost = await moveLayers(setting, one, what, { authorization: token, seconds });
        if (round === 0) continue;
        const load =
          what === 'push' ? 'push of 40 small layers' : '32 clients pull 40 small layers';
        note(one, load, cost.rate, { unit: 'images/s', less: false });
        note(one, load, cost.processor, { unit: 'processor ms an image', less: true });
      }
    }
    for (const one of registries) {
      say(`round ${round} of small requests: ${one.name}`);
      const authorization = await authorizationOf(one);
      const repeated = { authorization, seconds };
      const manifest = { ...repeated, path: '/v2/bench/app/manifests/v1' };
      const layer = { ...repeated, path: `/v2/bench/app/blobs/${blob?.descriptor.digest}` };
      const got = await repeatGet(setting, one, manifest);
      const seen = await repeatHead(setting, one, layer);
      if (round === 0) continue;
      noteRequests(one, 'GET of a manifest by tag', got);
      noteRequests(one, 'HEAD of a blob', seen);
    }
    for (const one of [...registries, htpasswd]) {
      if (one.credentials === undefined) continue;
      say(`round ${round} of logins: ${one.name}`);
      const query = new URLSearchParams({ service: 'portcullis', scope });
      const path = one.token === undefined ? '/v2/' : `/v2/_token?${query}`;
      const authorization = `Basic ${btoa(one.credentials)}`;
      const cost = await repeatGet(setting, one, { path, authorization, seconds });
      if (round > 0) noteRequests(one, login, cost, names.htpasswd);
    }
    for (const one of registries) {
      say(`round ${round} of small requests beside pushes: ${one.name}`);
      const request = { authorization: await authorizationOf(one), seconds };
      const path = '/v2/bench/app/manifests/v1';
      const digest = await writeBlob(`${file}-8`, mebibytes, 100 + round);
      const pushed = { file: `${file}-8`, digest, mebibytes };
      const { alone, beside } = await latencies(setting, one, { ...request, path }, pushed);
      if (round === 0) continue;
      note(one, 'p99 of a manifest beside eight pushes', beside, { unit: 'ms', less: true });
      note(one, 'p99 of a manifest beside eight pushes, to alone', beside / alone, {
        ...{ unit: 'times', less: true },
      });
    }
  }

  const engine = await startDockerEngine();
  try {
    for (const one of registries) await logIn(engine, one);
    for (let round = 0; round <= rounds; round += 1) {
      for (const one of registries) {
        say(`round ${round} of docker: ${one.name}`);
        const cost = await moveByDocker(engine, one, { mebibytes: dockerSize, round });
        if (round === 0) continue;
        noteBytes(one, `docker push of ${dockerSize} MiB`, cost.pushed);
        noteBytes(one, `docker pull of ${dockerSize} MiB`, cost.pulled);
      }
    }
  } finally {
    await engine.stop();
  }

  const before = '1 gateway on 1 processor';
  for (let round = 1; round <= rounds; round += 1) {
    say(`round ${round} of one gateway and two`);
    const whole = { file, digest: await writeBlob(file, mebibytes, 200 + round), mebibytes };
    for (const { name, got, pulled } of await measureWorkers(setting, whole, seconds)) {
      const what = { less: false, against: before };
      note({ name }, 'GET of /v2/ with a token', got.rate, { ...what, unit: 'requests/s' });
      note({ name }, 'four pulls at once', pulled.rate, { ...what, unit: 'MiB/s' });
    }
  }

  for (const { kind, many, ratio } of await measureListings()) {
    const load = `page of 100 of ${many} ${kind}, to one of 200`;
    note({ name: names.ours }, load, ratio, { unit: 'times', less: true });
  }

  const results = [...measured.values()];
  const table = formatTable(results);
  process.stdout.write(table);
  if (write === '1') await report(results, table);
} finally {
  for (const one of contenders) await one.stop();
  await rm(dir, { recursive: true, force: true });
}

async function pushSmall(
  { url }: Contender,
  bytes: Buffer,
  digest: string,
  mediaType: string,
  authorization: string | undefined,
): Promise<void> {
  const input = join(dir, 'small');
  await writeFile(input, bytes);
  const common = [
    '-sS',
    '--fail',
    '-o',
    '/dev/null',
    '--cacert',
    join(setting.certificates, 'ca.crt'),
  ];
  const login = authorization === undefined ? [] : ['-H', `Authorization: ${authorization}`];
  const curl = (...args: string[]) => mustRun('curl', [...common, ...login, ...args]);
  if (mediaType.includes('manifest')) {
    const type = ['-H', `Content-Type: ${mediaType}`];
    await curl(
      '-X',
      'PUT',
      ...type,
      '--data-binary',
      `@${input}`,
      `${url}/v2/bench/app/manifests/v1`,
    );
    return;
  }
  const head = await curl('-X', 'POST', '-D', '-', `${url}/v2/bench/app/blobs/uploads/`);
  const to = new URL(/^location: (\S+)/im.exec(head)?.[1] ?? '', url);
  to.searchParams.set('digest', digest);
  const type = ['-H', 'Content-Type: application/octet-stream'];
  await curl('-X', 'PUT', ...type, '--data-binary', `@${input}`, to.href);
}

async function report(results: readonly Measured[], table: string): Promise<void> {
  const docs = new URL('../../docs/', import.meta.url);
  const page = new URL('benchmarks.md', docs);
  const version = async (program: string, ...args: string[]) => {
    const { stdout, stderr } = await run(program, args);
    return `${stdout}${stderr}`.trim().split('\n')[0];
  };
  const facts = [
    `${cpus().length} processors (${cpus()[0]?.model}), ${Math.round(totalmem() / 2 ** 30)} GiB`,
    `Node ${process.versions.node}`,
    await version('docker-registry', '--version'),
    await version('nginx', '-v'),
    ...(peer === undefined ? [] : [`PEER: ${await version(peer, '--version')}`]),
  ];
  const [before, after] = ['<!-- bench:begin -->', '<!-- bench:end -->'];
  const text = await readFile(page, 'utf8');
  const made = [
    `Made on ${new Date().toISOString().slice(0, 10)}: ${facts.join('; ')}.`,
    `Blobs of ${mebibytes} MiB; ${rounds} rounds after one that is not counted.`,
    '',
    '![The figures below as bars](pictures/benchmarks.svg)',
    '',
    table,
  ].join('\n');
  const pattern = new RegExp(`${before}[^]*${after}`);
  await writeFile(
    page,
    text.replace(pattern, () => `${before}\n${made}${after}`),
  );
  await writeFile(new URL('pictures/benchmarks.svg', docs), drawBars(results));
}
