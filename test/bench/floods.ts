/**
 * What one client that sends requests faster than they can be answered makes others wait. Starts a registry of its own
 * on loopback, with TLS and HTTP/2; the client floods from a process of its own, for ten seconds each. The numbers stand
 * in docs/reliability.md, "A budget for everybody".
 *
 *     node test/bench/floods.ts
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { connect as connectHttp2 } from 'node:http2';
import { Agent, get } from 'node:https';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect as connectTls } from 'node:tls';
import { startConfigured } from '../support/configured-stack.ts';
import { type Stack, servicePids } from '../support/stack.ts';

const floods = { cancel, pipeline } as const;
const connections = [1, 20, 40];
/** Milliseconds. */
const floodTime = 10_000;

const [, , how, port, count] = process.argv;
if (how === undefined) await measure();
else flood(how as keyof typeof floods, Number(port), Number(count));

async function measure(): Promise<void> {
  const stack = await startConfigured({
    tls: true,
    users: { admin: 'secret' },
    http: { http2: { disabled: false } },
  });
  try {
    for (const name of Object.keys(floods)) {
      for (const count of connections) {
        const child = fork(import.meta.filename, [name, String(stack.port), String(count)]);
        await sleep(1000);
        const waited = await probe(stack, floodTime - 2000);
        await once(child, 'exit');
        const at = (part: number) =>
          (waited[Math.floor((waited.length - 1) * part)] ?? 0).toFixed(0);
        const resident = `gateway ${await residentMiB(stack)} MiB`;
        process.stdout.write(
          `${name} over ${count} connections: others waited ${at(0.5)} ms, 99 of 100 ${at(0.99)} ms, at most ${at(1)} ms; ${resident}\n`,
        );
      }
    }
  } finally {
    await stack.remove();
  }
}

/** Asks for a small thing again and again over one connection. @returns milliseconds each took, sorted */
async function probe(on: Stack, time: number): Promise<number[]> {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const waited: number[] = [];
  const end = performance.now() + time;
  while (performance.now() < end) {
    const began = performance.now();
    await new Promise<void>((resolve, reject) => {
      const options = { port: on.port, path: '/v2/', agent, rejectUnauthorized: false };
      const outgoing = get({ host: '127.0.0.1', ...options }, (incoming) => {
        incoming.resume().once('end', resolve);
      });
      outgoing.once('error', reject);
      // Longer than this is all the same.
      outgoing.setTimeout(floodTime, () => outgoing.destroy(new Error('no answer')));
    });
    waited.push(performance.now() - began);
    await sleep(20);
  }
  agent.destroy();
  return waited.sort((a, b) => a - b);
}

async function residentMiB(on: Stack): Promise<number> {
  const [pid] = await servicePids(on.child.pid ?? 0, 'gateway');
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  return Math.round(Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1] ?? 0) / 1024);
}

function flood(kind: keyof typeof floods, to: number, many: number): void {
  for (let index = 0; index < many; index += 1) floods[kind](to);
  setTimeout(() => process.exit(), floodTime);
}

/** Opens streams of HTTP/2 and cancels each in the next turn; begins anew when it is sent away. */
function cancel(to: number): void {
  const session = connectHttp2(`https://127.0.0.1:${to}`, { rejectUnauthorized: false });
  session.on('error', () => {});
  session.on('goaway', () => session.destroy());
  session.on('close', () => setImmediate(() => cancel(to)));
  const open = () => {
    if (session.destroyed || session.closed) return;
    for (let index = 0; index < 50; index += 1) {
      const stream = session.request({ ':path': '/v2/team/app/manifests/v1' });
      stream.on('error', () => {});
      setImmediate(() => stream.close(8));
    }
    setImmediate(open);
  };
  session.once('connect', open);
}

/** Sends requests of HTTP/1.1 one behind the other without waiting for answers; begins anew when it is cut off. */
function pipeline(to: number): void {
  const requests = Buffer.from('GET /v2/ HTTP/1.1\r\nHost: x\r\n\r\n'.repeat(500));
  const socket = connectTls({ port: to, rejectUnauthorized: false });
  socket.on('error', () => {});
  socket.on('close', () => setImmediate(() => pipeline(to)));
  socket.resume();
  const send = () => {
    if (socket.destroyed) return;
    if (socket.write(requests)) setImmediate(send);
    else socket.once('drain', send);
  };
  socket.once('secureConnect', send);
}
