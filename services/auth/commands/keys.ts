import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { readText } from '#libs/files/read-text.ts';
import { formatTable } from '#libs/process/format-table.ts';
import { formatDuration } from '#libs/values/duration.ts';
import { longestTokenLife, uploadGrace } from '#libs/values/lifetimes.ts';
import { createFirstKey, createNextKey } from '../keys/create-key.ts';
import { keysFolder, loadKeys } from '../keys/signing-key.ts';
import { type StateTarget, stateOf } from './state-of.ts';

/** Milliseconds that a key which signs no more is kept: for its last token, an upload with that, and a day to spare. */
const keptFor = longestTokenLife + uploadGrace + 24 * 60 * 60 * 1000;

/** Makes the first signing key. @returns the exit code */
export async function createKey(target: StateTarget): Promise<number> {
  const { state, known } = await open(target, 'no');
  if (known.length > 0) {
    throw new Error(`${state} already holds ${known.length} signing key(s); nothing was changed`);
  }
  process.stdout.write(`${await createFirstKey(state)}\n`);
  return 0;
}

/** @returns the exit code */
export async function listKeys(target: StateTarget, json: boolean): Promise<number> {
  const { state, known } = await open(target);
  const now = Date.now();
  const signing = known.findLast(({ from }) => from <= now);
  const entries = known.map((key) => ({
    kid: key.kid,
    state: key === signing ? 'signs' : key.from > now ? 'will sign' : 'signed',
    from: key.from === 0 ? null : new Date(key.from).toISOString(),
  }));
  if (json) process.stdout.write(`${JSON.stringify(entries)}\n`);
  else if (entries.length === 0) process.stderr.write(`no signing keys in ${state}\n`);
  else {
    const rows = entries.map(({ kid, state: role, from }) => [kid, role, from ?? 'the beginning']);
    process.stdout.write(formatTable(['KID', 'STATE', 'FROM'], rows));
  }
  return 0;
}

/**
 * Makes a new key, and removes those that verify nothing any more.
 * @param grace milliseconds until it signs
 * @returns the exit code
 */
export async function rotateKeys(target: StateTarget, grace: number): Promise<number> {
  const { state, known } = await open(target);
  if (known.length === 0) throw new Error(`${state} holds no signing key; make one: keys create`);
  const pending = known.filter(({ from }) => from > Date.now());
  for (const { kid, from } of pending) {
    const when = new Date(from).toISOString();
    process.stderr.write(`another new key is pending: ${kid} signs from ${when}\n`);
  }
  // Whole seconds, as the name has it; never before one that is there.
  const last = known.at(-1)?.from ?? 0;
  const second =
    grace === 0 ? Math.floor(Date.now() / 1000) : Math.ceil((Date.now() + grace) / 1000);
  const from = new Date(Math.max(second * 1000, last + 1000));
  const path = await createNextKey(state, from);
  const waits = formatDuration(grace);
  process.stdout.write(`${path}\nsigns from ${from.toISOString()} (--grace ${waits})\n`);
  for (const [index, { path: file, kid }] of known.entries()) {
    const ended = known[index + 1]?.from ?? from.getTime();
    if (Date.now() - ended < keptFor) continue;
    await removeKey(file);
    process.stdout.write(`removed ${kid}, which signs and verifies nothing any more\n`);
  }
  return 0;
}

/** Removes a key at once; its tokens are void. @returns the exit code */
export async function revokeKey(target: StateTarget, kid: string): Promise<number> {
  const { state, known } = await open(target);
  const found = known.find((key) => key.kid === kid);
  if (found === undefined) throw new Error(`${state} has no key ${kid}; see: portcullis keys list`);
  if (!known.some((key) => key !== found && key.from <= Date.now())) {
    throw new Error('no other key signs yet; make one: portcullis keys rotate --grace 0s');
  }
  await removeKey(found.path);
  process.stdout.write(`removed ${kid}; its tokens are void\n`);
  return 0;
}

async function open(target: StateTarget, mustExist: 'yes' | 'no' = 'yes') {
  const state = await stateOf(target, mustExist);
  return { state, known: await loadKeys(state) };
}

async function removeKey(path: string): Promise<void> {
  await rm(path);
  await rm(path.replace(/\.pem$/, '.crt'), { force: true });
}

/** Prints what other registries trust. @param jwks as a JWK Set (RFC 7517) @returns the exit code */
export async function exportKeys(target: StateTarget, jwks: boolean): Promise<number> {
  const { state, known } = await open(target);
  if (known.length === 0)
    throw new Error(`${keysFolder(state)} holds no keys; a start makes the first one`);
  if (jwks) {
    const set = { keys: known.map(({ publicJwk }) => publicJwk) };
    process.stdout.write(`${JSON.stringify(set, null, 2)}\n`);
    return 0;
  }
  const authority = join(keysFolder(state), 'authority.crt');
  const text = await readText(authority).catch((error: unknown) => {
    throw new Error(`${authority} cannot be read; keys made where there is no openssl have none`, {
      cause: error,
    });
  });
  // The keys' own certificates too, for tokens that name their key without showing its certificate.
  const own = known.flatMap(({ certificate }) => certificate?.toString() ?? []);
  process.stdout.write([text, ...own].map((pem) => `${pem.trim()}\n`).join(''));
  return 0;
}
