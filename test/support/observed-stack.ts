import assert from 'node:assert/strict';
import { startConfigured } from './configured-stack.ts';
import { type Exposition, parseExposition } from './exposition.ts';
import { freePort } from './free-port.ts';
import type { Stack } from './stack.ts';

const users = { alice: 'a good password' };
/** The authorization of alice, who the stack knows. */
export const basic = { Authorization: `Basic ${btoa('alice:a good password')}` };

/** A stack with the debug server of the original's configuration. */
export async function startObserved(
  more: (dir: string) => Record<string, unknown> = () => ({}),
): Promise<{ stack: Stack; debug: string }> {
  const port = await freePort();
  const stack = await startConfigured({
    users,
    http: { debug: { addr: `127.0.0.1:${port}`, prometheus: { enabled: true } } },
    sections: more,
  });
  return { stack, debug: `http://127.0.0.1:${port}` };
}

/** GET, with what was answered. */
export const ask = async (url: string) => {
  const answer = await fetch(url);
  return {
    status: answer.status,
    text: await answer.text(),
    type: answer.headers.get('content-type'),
  };
};
/** The metrics of a debug server. */
export const scrapeFrom = async (debug: string): Promise<Exposition> => {
  const { status, text, type } = await ask(`${debug}/metrics`);
  assert.equal(status, 200, text);
  assert.equal(type, 'text/plain; version=0.0.4; charset=utf-8');
  return parseExposition(text);
};

/** Pushes a blob as alice. */
export async function push(
  stack: Stack,
  name: string,
  bytes: Buffer,
  digest: string,
): Promise<void> {
  const url = `${stack.url}/v2/${name}/blobs/uploads/?digest=${digest}`;
  const answer = await fetch(url, { method: 'POST', headers: basic, body: new Uint8Array(bytes) });
  assert.equal(answer.status, 201, await answer.text());
}
