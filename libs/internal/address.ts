import { redactUrls } from '#libs/values/secret.ts';

/** Where one of our processes serves the others. */
export type InternalAddress =
  | { kind: 'unix'; socket: string }
  /** The host may be a name with several addresses, each of which is a process of its own. */
  | { kind: 'tcp'; host: string; port: number; tls: boolean };

/**
 * Reads `unix:/run/portcullis/core.sock`, `http://core-1:5001`, `https://10.0.0.7:5001`.
 * @param key the setting it stands in, for the message
 * @throws Error with one clear sentence
 */
export function parseInternalAddress(text: string, key: string): InternalAddress {
  const socket = socketIn(text);
  if (socket !== undefined) return { kind: 'unix', socket };
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const isOrigin = url !== undefined && /^https?:$/.test(url.protocol) && url.port !== '';
  if (!isOrigin || url.pathname !== '/' || url.search !== '' || url.username !== '') {
    throw new Error(
      `${key}: "${redactUrls(text)}" is not an address such as http://core-1:5001 or unix:/run/core.sock`,
    );
  }
  const host = url.hostname.replace(/^\[(.+)\]$/, '$1');
  return { kind: 'tcp', host, port: Number(url.port), tls: url.protocol === 'https:' };
}

/** The path of `unix:/run/portcullis/core.sock`; undefined for what is no such address. */
export function socketIn(text: string): string | undefined {
  return /^unix:(\/.+)$/.exec(text)?.[1];
}
