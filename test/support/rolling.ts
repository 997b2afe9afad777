import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Member } from './fleet.ts';
import { makeImage, makeLayer } from './images.ts';
import type { RegistryClient } from './registry-client.ts';

const MiB = 1024 * 1024;

/** Milliseconds after which everybody knows that a process is back: whoever was told that it is away looks once a second. */
const noticed = 1500;

/** @param program the launcher of another version, to go on with */
export async function restart(member: Member, program?: string): Promise<void> {
  assert.equal(await member.stop(), 0, member.output());
  await member.start({}, program);
  await sleep(noticed);
}

/**
 * Pulls, pushes and uploads piece by piece with clients that try nothing again, and checks that every answer is right.
 * @returns how many rounds there were
 */
export async function loseNothingWhile(
  client: RegistryClient,
  repository: string,
  happen: () => Promise<void>,
): Promise<number> {
  const failures: string[] = [];
  let requests = 0;
  let going = true;
  const layer = makeLayer(4 * MiB);
  await client.push(repository, 'v1', makeImage());
  let upload = await client.startUpload(repository);
  let sent = 0;

  const uploading = (async () => {
    while (going || sent < layer.bytes.length) {
      if (sent < layer.bytes.length) {
        const piece = layer.bytes.subarray(sent, sent + 64 * 1024);
        const { status, body, headers } = await client.ask('PATCH', upload, { body: piece });
        if (status === 202) {
          sent += piece.length;
          upload = String(headers.location);
        } else failures.push(`PATCH ${status} ${String(body)}`);
      }
      await sleep(150);
    }
  })();
  const working = Array.from({ length: 6 }, async (_, worker) => {
    for (let turn = 0; going; turn += 1) {
      try {
        const pulled = await client.ask('GET', `/v2/${repository}/manifests/v1`);
        if (pulled.status !== 200) failures.push(`GET ${pulled.status} ${String(pulled.body)}`);
        if (turn % 4 === 0) await client.push(`${repository}${worker}`, `t${turn}`, makeImage());
        requests += 1;
      } catch (error) {
        failures.push((error as Error).message);
      }
    }
  });
  try {
    await happen();
  } finally {
    going = false;
    await Promise.all([...working, uploading]);
  }
  assert.deepEqual(failures, []);
  assert.ok(requests > 50, String(requests));
  assert.equal((await client.finishUpload(upload, layer.descriptor.digest)).status, 201);
  const { body } = await client.ask('GET', `/v2/${repository}/blobs/${layer.descriptor.digest}`);
  assert.deepEqual(body, layer.bytes);
  return requests;
}
