import { statSync } from 'node:fs';
import type { IncomingMessage } from 'node:http';
import { join } from 'node:path';
import { LRUCache } from 'lru-cache';
import type { RouteId } from '#libs/api/routes.ts';
import { isSameState, stateOf } from '#libs/files/file-state.ts';
import { ClientGoneError } from '#libs/http/client-gone.ts';
import { type FileOffer, fileOfferIn } from '#libs/http/file-offer.ts';
import { type FileValidator, fileValidatorsIn } from '#libs/http/file-validators.ts';
import { RegistryError } from '#libs/oci/errors.ts';
import type { GatewayContext } from './authenticate.ts';
import type { FileAnswer, TreeFiles } from './files/tree-files.ts';
import { type Header, headersToRelay } from './relayed-headers.ts';

/** What a core answered with 200, for as long as it is true. */
export interface KeptAnswer {
  headers: readonly Header[];
  /** Of GET: the body, or the file that has it. Of HEAD: neither. */
  body: Buffer | undefined;
  offer: FileOffer | undefined;
}

/**
 * Answers of the cores, each with the files that it was made of. It is given again only after a look at these files
 * (docs/adr/0020): nobody has to be told that a tag has moved, or a blob is gone.
 */
export interface KeptAnswers {
  /**
   * Where the answer to a request is kept, and that to others which cannot be told from it.
   * @param path as the core sees it; no query changes such an answer
   * @returns undefined for one whose answer is not kept
   */
  placeFor(ctx: GatewayContext, route: RouteId, path: string): AnswerPlace | undefined;
}

export interface AnswerPlace {
  /** The answer that is true now; undefined where the core is to be asked. */
  find(): KeptAnswer | undefined;
  /** Keeps the answer of a core that names its files, once all of it is here. */
  keep(answer: IncomingMessage): void;
}

/** Bytes of a body that is kept; longer ones the core counts against memory for downloads. */
const largestBody = 64 * 1024;
/** Bytes of memory for all that is kept. */
const memory = 16 * 1024 * 1024;
/** Bytes that an answer takes besides its own and those of its key. */
const overhead = 2048;
/** Milliseconds after which a core is asked again, though nothing has changed: it may be another version by then. */
const lifetime = 10 * 60_000;
/** Milliseconds that looking at the files of an answer may take: all other requests wait meanwhile. */
const longestLook = 100;
/** Milliseconds for which no file is looked at after a look that took longer, as on a disk that fails; the cores answer. */
const pauseAfter = 60_000;

/** What is read and may be large in number. */
const routes: ReadonlySet<RouteId> = new Set(['getManifest', 'getBlob']);
/** Headers that make an answer one of its own. */
const conditions = ['if-match', 'if-none-match', 'if-range', 'range'] as const;

interface Entry extends KeptAnswer {
  method: string;
  files: readonly FileValidator[];
}

/**
 * @param folder of the tree, absolute
 * @param now milliseconds, ever growing
 */
export function createKeptAnswers(
  folder: string,
  now: () => number = () => performance.now(),
): KeptAnswers {
  const entries = new LRUCache<string, Entry>({
    maxSize: memory,
    ttl: lifetime,
    sizeCalculation: ({ body }, key) => overhead + 2 * key.length + (body?.length ?? 0),
  });
  let pausedUntil = 0;

  /** Synchronous: a look at a file that was looked at lately takes some microseconds, a thread's answer many times that. */
  function isValid({ files }: Entry): boolean {
    const started = now();
    if (started < pausedUntil) return false;
    const unchanged = files.every(({ path, state }) => isUnchanged(join(folder, path), state));
    const ended = now();
    if (ended - started > longestLook) pausedUntil = ended + pauseAfter;
    return unchanged;
  }

  function find(key: string, method: string): KeptAnswer | undefined {
    const entry = entries.get(key);
    if (entry === undefined || (method === 'GET' && entry.method !== 'GET')) return undefined;
    if (isValid(entry)) return entry;
    entries.delete(key);
    return undefined;
  }

  function keep(key: string, method: string, answer: IncomingMessage): void {
    const files = fileValidatorsIn(answer.headers);
    if (files === undefined || answer.statusCode !== 200) return;
    const offer = fileOfferIn(answer.headers);
    // Each time it is given has its own.
    const headers = headersToRelay(answer).filter(([name]) => name.toLowerCase() !== 'date');
    const entry = { method, files, headers, body: undefined, offer };
    if (offer !== undefined) {
      const others = headers.filter(([name]) => name.toLowerCase() !== 'content-length');
      entries.set(key, { ...entry, headers: [...others, ['Content-Length', offer.size]] });
    } else if (method === 'HEAD') {
      entries.set(key, entry);
    } else if (Number(answer.headers['content-length']) <= largestBody) {
      // A copy, as a piece is freed when it was sent; by itself, as a part of Node's pool would keep the rest of it.
      const body = Buffer.allocUnsafeSlow(Number(answer.headers['content-length']));
      let size = 0;
      answer.on('data', (piece: Buffer) => {
        size += piece.copy(body, size);
      });
      answer.once('end', () => {
        if (answer.complete) entries.set(key, { ...entry, body });
      });
    }
  }

  return {
    placeFor({ req, method }, route, path) {
      if (!routes.has(route) || (method !== 'GET' && method !== 'HEAD')) return undefined;
      if (conditions.some((name) => req.headers[name] !== undefined)) return undefined;
      // What it lists of the headers is not sent on, so that the answer is to another request than this one.
      if (!/^(?:(?:close|keep-alive|te)(?:, *|$))*$/i.test(req.headers.connection ?? '')) {
        return undefined;
      }
      const key = `${path}\n${req.headers.accept ?? ''}`;
      return { find: () => find(key, method), keep: (answer) => keep(key, method, answer) };
    },
  };
}

/**
 * Answers with what was kept.
 * @returns false if the file that has the body is of no use any more: the core is to be asked
 */
export async function sendKept(
  ctx: GatewayContext,
  { headers, body, offer }: KeptAnswer,
  files: TreeFiles,
): Promise<boolean> {
  const { res } = ctx;
  const begin = () => {
    ctx.respond = false;
    ctx.status = 200;
    for (const [name, value] of headers) res.setHeader(name, value);
  };
  if (ctx.method === 'HEAD' || offer === undefined) {
    begin();
    res.end(ctx.method === 'HEAD' ? undefined : body);
    return true;
  }
  const file = await openFile(ctx, offer, files);
  await file?.send(res, begin);
  return file !== undefined;
}

/** @throws RegistryError TOOMANYREQUESTS */
async function openFile(
  ctx: GatewayContext,
  offer: FileOffer,
  files: TreeFiles,
): Promise<FileAnswer | undefined> {
  try {
    return await files.open(offer, ctx);
  } catch (error) {
    if (error instanceof RegistryError || error instanceof ClientGoneError) throw error;
    return undefined;
  }
}

function isUnchanged(path: string, state: FileValidator['state']): boolean {
  try {
    const found = statSync(path, { bigint: true, throwIfNoEntry: false });
    return found !== undefined && isSameState(stateOf(found), state);
  } catch {
    return false;
  }
}
