import { setTimeout as sleep } from 'node:timers/promises';
import type { JWK } from 'jose';
import { z } from 'zod';
import { readText } from '#libs/files/read-text.ts';
import { watchFile } from '#libs/files/watch-file.ts';
import type { Logger } from '#libs/log/logger.ts';
import { redactUrls } from '#libs/values/secret.ts';

/** Milliseconds between two looks at an address. */
const refreshEvery = 5 * 60_000;
/** Milliseconds within which an unknown key makes us ask an address at most once. */
const refreshLimit = 10_000;
/** Milliseconds until an address must have answered. */
const timeout = 10_000;
/** Milliseconds that a start waits for an address; what comes later is taken then. */
const firstAnswer = 2000;
/** Characters of a key set. */
const maxSize = 1024 * 1024;
/** Keys of a set; issuers have a handful. */
const maxKeys = 1000;

const jwksSchema = z.object({ keys: z.array(z.looseObject({ kty: z.string() })) });

/** A set of public keys (RFC 7517) in a file or at an address, followed as it changes. */
export interface JwksSource {
  /** The keys known last; empty until the first were heard of. */
  keys(): readonly JWK[];
  /** Looks again because a key is unknown; does nothing if it just did. */
  refresh(): Promise<void>;
  close(): void;
}

export interface JwksSourceOptions {
  /** A path, or `https://…`. */
  location: string;
  log: Logger;
  /** Called with every new set. */
  onKeys?: (keys: readonly JWK[]) => void | Promise<void>;
  /** Gives the address of the set, where it has to be asked for first. */
  discover?: () => Promise<string>;
}

/**
 * Opens a key set. An address that does not answer is asked again later; what was known stays in use.
 * @throws Error with one clear sentence if a file cannot be used
 */
export async function openJwksSource(options: JwksSourceOptions): Promise<JwksSource> {
  const { location, log, onKeys = () => {}, discover } = options;
  const jwks = redactUrls(location);
  let keys: readonly JWK[] = [];
  const take = async (text: string) => {
    const found = parseJwks(text, location);
    if (found.length === 0)
      log.warn({ jwks }, 'the key set holds no key: no token of it is accepted');
    keys = found;
    await onKeys(found);
  };

  if (!isAddress(location)) {
    const load = async () => await take(await readText(location));
    await load();
    const watch = watchFile(location, load, log);
    return { keys: () => keys, refresh: watch.refresh, close: watch.close };
  }

  let lastAsked = Number.NEGATIVE_INFINITY;
  let asking: Promise<void> | undefined;
  let away = false;
  const ask = async () => {
    lastAsked = performance.now();
    try {
      await take(await fetchSmall(discover === undefined ? location : await discover()));
      if (away) log.info({ jwks }, 'the key set can be fetched again');
      away = false;
    } catch (error) {
      const meanwhile = keys.length > 0 ? 'keeping the known keys' : 'no token of it is accepted';
      if (!away) log.warn({ err: error, jwks }, `the key set cannot be fetched; ${meanwhile}`);
      away = true;
    }
  };
  const refresh = async () => {
    if (asking === undefined && performance.now() - lastAsked < refreshLimit) return;
    asking ??= ask().finally(() => {
      asking = undefined;
    });
    await asking;
  };
  await Promise.race([refresh(), sleep(firstAnswer, undefined, { ref: false })]);
  const timer = setInterval(() => {
    if (performance.now() - lastAsked >= (away ? refreshLimit : refreshEvery)) void refresh();
  }, 1000).unref();
  return { keys: () => keys, refresh, close: () => clearInterval(timer) };
}

/** A JSON document from an address. @throws Error naming it */
export async function fetchSmall(address: string): Promise<string> {
  const response = await fetch(address, {
    signal: AbortSignal.timeout(timeout),
    redirect: 'error',
    headers: { Accept: 'application/json' },
  });
  if (!response.ok || response.body === null) {
    await response.body?.cancel();
    throw new Error(`${redactUrls(address)} answered ${response.status}`);
  }
  let text = '';
  const decoder = new TextDecoder();
  for await (const chunk of response.body) {
    text += decoder.decode(chunk as Uint8Array, { stream: true });
    if (text.length > maxSize) throw new Error(`the answer of ${redactUrls(address)} is too long`);
  }
  return text;
}

export function isAddress(location: string): boolean {
  return /^https?:\/\//i.test(location);
}

/** @throws Error naming the location if it is not a JSON Web Key Set (RFC 7517) */
export function parseJwks(text: string, location: string): JWK[] {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new Error(`${redactUrls(location)} is not JSON`, { cause: error });
  }
  const parsed = jwksSchema.safeParse(value);
  if (!parsed.success)
    throw new Error(`${redactUrls(location)} is not a JSON Web Key Set (RFC 7517)`);
  if (parsed.data.keys.length > maxKeys)
    throw new Error(`${redactUrls(location)} has more than ${maxKeys} keys`);
  return parsed.data.keys;
}
