/**
 * Headers that only our own processes may set. The gateway removes them from what clients send, and
 * the core and auth trust them only on an internal link.
 */
export const internalHeaders = {
  requestId: 'x-request-id',
  clientAddress: 'x-portcullis-client',
  /** Ids of requests that are the same but for their id, and are asked for by this one; separated by commas. */
  joined: 'x-portcullis-joined',
  /** Names one attempt to have a request carried out, so that it can be given up by this name. */
  attempt: 'x-portcullis-attempt',
  /** Version of the internal protocol that the sender speaks; in answers too. */
  protocol: 'x-portcullis-protocol',
  /** In an answer: nothing of the request was taken, since the process stops. */
  refused: 'x-portcullis-refused',
  /** The storage tree that the sender sees, so that it may be offered a file of it, or told to write one. */
  tree: 'x-portcullis-tree',
  /** In an answer: the file whose bytes are its body; see `file-offer.ts`. */
  file: 'x-portcullis-file',
  /** In an answer: the files that it was made of, by which it may be known to be true yet; see `file-validators.ts`. */
  validators: 'x-portcullis-validators',
  /** In an informational response: what to do with the body of the request; see `held-body.ts`. */
  order: 'x-portcullis-order',
  /** Bytes of the body that the sender holds back until it is told what to do with it; absent where it does not know. */
  bodyLength: 'x-portcullis-body-length',
  /** Proof that the others come from one of us, where the way does not prove it. */
  signature: 'x-portcullis-hop',
} as const;

const internalPrefix = 'x-portcullis-';

/** Headers of one connection, not of the message (RFC 9110 section 7.6.1). */
const hopByHop: ReadonlySet<string> = new Set([
  'connection',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);

/**
 * Headers that say where a message begins and ends, and whose it is. A client that lists them in
 * Connection must not make us drop them: a body without its framing is read as the next request.
 */
const neverListed: ReadonlySet<string> = new Set([
  'content-length',
  'transfer-encoding',
  'host',
  'authorization',
]);

/** Names that must not cross our gateway, either way; `connection` may list more. */
export function namesToStrip(headers: Readonly<Record<string, unknown>>): string[] {
  const listed = String(headers.connection ?? '')
    .split(',')
    .map((name) => name.trim().toLowerCase())
    .filter((name) => name !== '' && !neverListed.has(name));
  return Object.keys(headers).filter((name) => {
    const lower = name.toLowerCase();
    return hopByHop.has(lower) || lower.startsWith(internalPrefix) || listed.includes(lower);
  });
}
