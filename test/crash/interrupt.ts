/**
 * Ends a process of ours, or has its storage fail, at a chosen durable step: every call that changes
 * what is on disk below a folder. Loaded into the real process with `node --import`, so that the product
 * knows nothing of it and pays nothing for it.
 *
 * It obeys a file, read at each step: `<number> <what>`, where `what` is `kill`, an error code such as
 * `EIO` or `ENOSPC`, or `count`. Steps are counted from when the file's text changed. How many there
 * were is written beside it, as `<file>.seen`.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import fs from 'node:fs/promises';
import { syncBuiltinESMExports } from 'node:module';

const root = process.env.CRASH_ROOT ?? '/nowhere';
const control = process.env.CRASH_CONTROL ?? '/nowhere';

let orders = '';
let steps = 0;

/** Whose turn it is: nobody's, or what shall happen instead of this step. */
function next(path: string): string | undefined {
  if (!path.startsWith(root) || path.includes('/_portcullis/owner')) return undefined;
  let text = '';
  try {
    text = readFileSync(control, 'utf8');
  } catch {
    return undefined;
  }
  if (text !== orders) {
    orders = text;
    steps = 0;
  }
  steps += 1;
  const [number, what] = text.split(' ');
  writeFileSync(`${control}.seen`, String(steps));
  return Number(number) === steps && what !== 'count' ? what : undefined;
}

function happen(what: string, path: string): never {
  if (what === 'kill') {
    process.kill(process.pid, 'SIGKILL');
    // The signal needs a moment; nothing may go on meanwhile.
    for (;;) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1000);
  }
  throw Object.assign(new Error(`${what}: injected, '${path}'`), { code: what, path });
}

type Method = (...args: never[]) => Promise<unknown>;

/** Counts the calls of a member whose path the arguments, or the handle, tell. */
function watch(target: object, name: string, pathOf: (self: unknown, args: unknown[]) => string) {
  const original = Reflect.get(target, name) as Method;
  Reflect.set(target, name, async function (this: unknown, ...args: unknown[]) {
    const path = pathOf(this, args);
    const what = next(path);
    if (what !== undefined) {
      await tear(original, this, name, args);
      happen(what, path);
    }
    return await Reflect.apply(original, this, args);
  });
}

/** A write that is cut short has written something. */
async function tear(original: Method, self: unknown, name: string, args: unknown[]): Promise<void> {
  const [bytes, offset, length] = args as [Uint8Array, number?, number?];
  if (name === 'write' && length !== undefined && length > 1) {
    await Reflect.apply(original, self, [bytes, offset, Math.floor(length / 2)]);
  } else if (name === 'writeFile' && bytes instanceof Uint8Array) {
    await Reflect.apply(original, self, [bytes.subarray(0, Math.floor(bytes.length / 2))]);
  }
}

const paths = new WeakMap<object, string>();
const ofHandle = (self: unknown) => paths.get(self as object) ?? '';
const first = (_self: unknown, args: unknown[]) => String(args[0]);

const probe = await fs.open('/dev/null', 'r');
const handles = Object.getPrototypeOf(probe) as object;
await probe.close();
for (const name of ['write', 'writeFile', 'datasync', 'sync']) watch(handles, name, ofHandle);
for (const name of ['mkdir', 'rm', 'rmdir']) watch(fs, name, first);
// Where a file goes says more than where it comes from.
watch(fs, 'rename', (_self, args) => String(args[1]));

const open = fs.open;
Reflect.set(fs, 'open', async (...args: Parameters<typeof open>) => {
  const path = String(args[0]);
  const [, flags] = args;
  const creates = typeof flags === 'number' ? (flags & 0o100) !== 0 : flags === 'wx';
  const what = creates ? next(path) : undefined;
  if (what !== undefined) happen(what, path);
  const handle = await open(...args);
  paths.set(handle, path);
  return handle;
});
syncBuiltinESMExports();
