import { readFile, rm } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { switchToOwnerOf } from '#libs/process/drop-privileges.ts';
import { UsageError } from '#libs/process/usage-error.ts';
import { parseDuration } from '#libs/values/duration.ts';
import { createFirstKey, createNextKey } from '../keys/create-key.ts';
import { keysFolder, loadKeys, type SigningKey } from '../keys/signing-key.ts';
import { assertStateFolder } from './state-of.ts';

export const keysUsage = `usage: portcullis keys create STATE
       portcullis keys list STATE
       portcullis keys rotate [--grace 10m] STATE
       portcullis keys revoke STATE KID
       portcullis keys export [--jwks] STATE

STATE is auth's state folder (portcullis.auth.state). Running services take every change by themselves.

create  the first signing key, its authority, and the secret of identity tokens
rotate  a new key, published now, that signs when the grace time is over; the old one verifies until the last token
        that it signed has died, and uploads under way for a day more. Keys older than that are removed.
revoke  removes a key at once: its tokens are void, and clients get new ones
export  what other registries trust: certificates for rootcertbundle, which stay good through rotations, or
        with --jwks the public keys, which do not
`;

/** Milliseconds that a key which signs no more is kept, at most: a day's token and a day's upload. */
const keptFor = 3 * 24 * 60 * 60 * 1000;

/** `keys …`: the signing keys of the token service. */
export async function keys(args: string[]): Promise<number> {
  const options = { grace: { type: 'string', default: '10m' }, jwks: { type: 'boolean' } } as const;
  // A thumbprint may begin with a dash (RFC 7638, base64url), and is no option then.
  const ids = args.filter((arg) => /^-[\w-]{42}$/.test(arg));
  const others = args.filter((arg) => !ids.includes(arg));
  const all = { args: [...others, '--', ...ids], options, allowPositionals: true } as const;
  const { values, positionals } = parseArgs(all);
  const [action = '', folder, kid, ...more] = positionals;
  const wanted = action === 'revoke' ? kid !== undefined : kid === undefined;
  if (folder === undefined || !wanted || more.length > 0) throw new UsageError(keysUsage.trimEnd());
  const state = resolve(folder);
  if (action !== 'create') await assertStateFolder(state);
  await switchToOwnerOf(state);
  const known = await loadKeys(state);
  switch (action) {
    case 'create':
      return await create(state, known);
    case 'list':
      return list(known, state);
    case 'rotate':
      return await rotate(state, known, values.grace);
    case 'revoke':
      return await revoke(state, known, kid ?? '');
    case 'export':
      return await exportKeys(state, known, values.jwks === true);
    default:
      throw new UsageError(keysUsage.trimEnd());
  }
}

async function create(state: string, known: readonly SigningKey[]): Promise<number> {
  if (known.length > 0) {
    throw new Error(`${state} already holds ${known.length} signing key(s); nothing was changed`);
  }
  process.stdout.write(`${await createFirstKey(state)}\n`);
  return 0;
}

function list(known: readonly SigningKey[], state: string): number {
  if (known.length === 0) process.stderr.write(`no signing keys in ${state}\n`);
  const time = Date.now();
  const signing = known.findLast(({ from }) => from <= time);
  for (const key of known) {
    const from = key.from === 0 ? 'the beginning' : new Date(key.from).toISOString();
    const role = key === signing ? 'signs' : key.from > time ? 'will sign' : 'signed';
    process.stdout.write(`${key.kid}  ${role} from ${from}\n`);
  }
  return 0;
}

async function rotate(state: string, known: readonly SigningKey[], text: string): Promise<number> {
  const grace = parseDuration(text);
  if (grace === undefined) throw new UsageError(`--grace: "${text}" is not a duration such as 10m`);
  if (known.length === 0) throw new Error(`${state} holds no signing key; make one: keys create`);
  // Whole seconds, as the name has it; never before one that is there.
  const last = known.at(-1)?.from ?? 0;
  const second =
    grace === 0 ? Math.floor(Date.now() / 1000) : Math.ceil((Date.now() + grace) / 1000);
  const from = new Date(Math.max(second * 1000, last + 1000));
  const path = await createNextKey(state, from);
  process.stdout.write(`${path}\nsigns from ${from.toISOString()}\n`);
  for (const [index, { path: file, kid }] of known.entries()) {
    const ended = known[index + 1]?.from ?? from.getTime();
    if (Date.now() - ended < keptFor) continue;
    await removeKey(file);
    process.stdout.write(`removed ${kid}, which signs and verifies nothing any more\n`);
  }
  return 0;
}

async function revoke(state: string, known: readonly SigningKey[], kid: string): Promise<number> {
  const found = known.find((key) => key.kid === kid);
  if (found === undefined) throw new Error(`${state} has no key ${kid}; see: keys list ${state}`);
  if (!known.some((key) => key !== found && key.from <= Date.now())) {
    throw new Error(`no other key signs yet; make one: portcullis keys rotate --grace 0 ${state}`);
  }
  await removeKey(found.path);
  process.stdout.write(`removed ${kid}; its tokens are void\n`);
  return 0;
}

async function removeKey(path: string): Promise<void> {
  await rm(path);
  await rm(path.replace(/\.pem$/, '.crt'), { force: true });
}

async function exportKeys(
  state: string,
  known: readonly SigningKey[],
  jwks: boolean,
): Promise<number> {
  if (jwks) {
    const set = { keys: known.map(({ publicJwk }) => publicJwk) };
    process.stdout.write(`${JSON.stringify(set, null, 2)}\n`);
    return 0;
  }
  const authority = join(keysFolder(state), 'authority.crt');
  const text = await readFile(authority, 'utf8').catch((error: unknown) => {
    throw new Error(`${authority} cannot be read; keys made where there is no openssl have none`, {
      cause: error,
    });
  });
  // The keys' own certificates too, for tokens that name their key without showing its certificate.
  const own = known.flatMap(({ certificate }) => certificate?.toString() ?? []);
  process.stdout.write([text, ...own].map((pem) => `${pem.trim()}\n`).join(''));
  return 0;
}
