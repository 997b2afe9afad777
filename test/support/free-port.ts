import { readFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:net';

/** Claims of this process; the kernel drops them when it ends, however it ends. */
const claims: Server[] = [];

/**
 * A port that nobody listens on, and that no connection and no other test is given before it is used: it lies
 * outside the kernel's range for ports of its own choice, and is claimed by this process for as long as it runs.
 * With `companion` the port at that distance above is claimed as well.
 */
export async function freePort({ companion = 0 }: { companion?: number } = {}): Promise<number> {
  const [first, last] = await assignablePorts();
  for (let attempt = 1; attempt <= 1000; attempt += 1) {
    const port = first + Math.floor(Math.random() * (last - companion - first + 1));
    const wanted = companion === 0 ? [port] : [port, port + companion];
    if (await claimAll(wanted)) return port;
  }
  throw new Error(`no free port from ${first} to ${last}`);
}

/** The larger range of unprivileged ports beside those that the kernel assigns (ip(7), ip_local_port_range). */
async function assignablePorts(): Promise<[first: number, last: number]> {
  const text = await readFile('/proc/sys/net/ipv4/ip_local_port_range', 'utf8');
  const [low = 32_768, high = 60_999] = text.trim().split(/\s+/).map(Number);
  return low - 10_000 > 65_535 - high ? [10_000, low - 1] : [high + 1, 65_535];
}

async function claimAll(ports: readonly number[]): Promise<boolean> {
  for (const port of ports) {
    // A name in the abstract namespace: only one process has it, and it leaves no file behind.
    const claim = await listen({ path: `\0portcullis-test-port-${port}` });
    if (claim === undefined) return false;
    claims.push(claim);
    const probe = await listen({ port });
    if (probe === undefined) return false;
    await new Promise((resolve) => probe.close(resolve));
  }
  return true;
}

/** A server that listens there and keeps no process alive; undefined where another does already. */
async function listen(where: { port: number } | { path: string }): Promise<Server | undefined> {
  const server = createServer().unref();
  return await new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) =>
      error.code === 'EADDRINUSE' ? resolve(undefined) : reject(error),
    );
    server.listen(where, () => resolve(server));
  });
}
