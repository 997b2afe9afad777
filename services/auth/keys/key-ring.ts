import { stat } from 'node:fs/promises';
import type { PublishedKey } from '#libs/auth/key-set.ts';
import type { Logger } from '#libs/log/logger.ts';
import { uploadGrace } from '#libs/values/lifetimes.ts';
import { keysFolder, loadKeys, type SigningKey } from './signing-key.ts';

/** Milliseconds that clocks may differ, and that a request may be on its way. */
const leeway = 2 * 60 * 1000;
/** Milliseconds between two looks at the folder. */
const interval = 500;

/** All signing keys of auth's state, and what each is good for now. */
export interface KeyRing {
  /** The one that signs now: the youngest whose time has come. */
  signing(): SigningKey;
  /** Those that verify, and those that verify only uploads under way. */
  published(): PublishedKey[];
  /** Reads the folder again now. */
  reload(): Promise<void>;
  close(): void;
}

export interface KeyRingOptions {
  stateFolder: string;
  /** Those found at the start, at least one. */
  keys: readonly [SigningKey, ...SigningKey[]];
  /** Milliseconds that a token lives. */
  ttl: number;
  log: Logger;
  /** Called when what is published may be another. */
  onChange: () => void;
  /** Milliseconds since the epoch. */
  now?: () => number;
}

/**
 * Follows the keys (docs/adr/0010): a key is published when its file appears, signs from its time until the next one's,
 * verifies until the last token that it signed has died, and uploads under way for a day more.
 */
export function openKeyRing(options: KeyRingOptions): KeyRing {
  const { stateFolder, ttl, log, onChange, now = Date.now } = options;
  let keys: readonly SigningKey[] = options.keys;
  let lastSeen = '';
  let lastSigning = signing().kid;

  function signing(): SigningKey {
    const time = now();
    const [oldest] = options.keys;
    return keys.findLast(({ from }) => from <= time) ?? keys[0] ?? oldest;
  }

  function published(): PublishedKey[] {
    const time = now();
    return keys.flatMap((key, index) => {
      const { kid, publicJwk } = key;
      const retired = (keys[index + 1]?.from ?? Number.POSITIVE_INFINITY) + ttl + leeway;
      if (time > retired + uploadGrace) return [];
      const jwk = { ...publicJwk, kid, kty: publicJwk.kty ?? '' };
      return [time > retired ? { ...jwk, uploadsOnly: true } : jwk];
    });
  }

  async function reload(): Promise<void> {
    try {
      const found = await loadKeys(stateFolder, (error) => {
        log.error({ err: error }, 'skipping an invalid signing key');
      });
      // Keys of a folder that could not be written live in memory only.
      if (found.length === 0) return;
      const before = keys.map(({ kid }) => kid).join();
      keys = found;
      const after = found.map(({ kid }) => kid);
      if (before === after.join()) return;
      log.info({ keys: after }, 'the signing keys have changed');
      onChange();
    } catch (error) {
      log.error({ err: error }, 'the changed signing keys are invalid; keeping the previous ones');
    }
  }

  async function look(): Promise<void> {
    const found = await stat(keysFolder(stateFolder)).catch(() => undefined);
    const seen = found === undefined ? '' : `${found.ino} ${found.mtimeMs}`;
    if (seen !== lastSeen && lastSeen !== '') await reload();
    lastSeen = seen;
    const { kid } = signing();
    if (kid === lastSigning) return;
    lastSigning = kid;
    log.info({ kid }, 'signing key rotated');
    onChange();
  }

  // What changed since the keys were read is seen now, what changes later by the next look.
  void look().then(reload);
  const timer = setInterval(() => void look(), interval).unref();
  return { signing, published, reload, close: () => clearInterval(timer) };
}
