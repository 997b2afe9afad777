import type { IncomingMessage, OutgoingHttpHeader, ServerResponse } from 'node:http';
import { internalHeaders, namesToStrip } from '#libs/http/internal-headers.ts';
import type { TextResponse } from '#libs/http/request-text.ts';

export type Header = readonly [name: string, value: OutgoingHttpHeader];

/** The upstream's headers as it spelt them, without its connection's own and without internal ones. */
export function headersToRelay(incoming: IncomingMessage): Header[] {
  const strip = new Set([...namesToStrip(incoming.headers), internalHeaders.requestId]);
  const headers: Header[] = [];
  for (let index = 0; index < incoming.rawHeaders.length; index += 2) {
    const name = incoming.rawHeaders[index] ?? '';
    const value = incoming.headers[name.toLowerCase()];
    if (!strip.has(name.toLowerCase()) && value !== undefined) headers.push([name, value]);
  }
  return headers;
}

/** Gives a client the upstream's headers. */
export function copyHeaders(incoming: IncomingMessage, response: ServerResponse): void {
  for (const [name, value] of headersToRelay(incoming)) response.setHeader(name, value);
}

/** The same of a small answer, but for how long it is and when it was made. */
export function headersOf({ headers }: TextResponse): [name: string, value: string | string[]][] {
  const own = ['content-length', 'date', internalHeaders.requestId];
  const strip = new Set([...namesToStrip(headers), ...own]);
  return Object.entries(headers).filter(
    (entry): entry is [string, string | string[]] => entry[1] !== undefined && !strip.has(entry[0]),
  );
}

/** The upstream knows no prefix; the paths it answers with are the client's only with it. */
export function addPrefix(response: ServerResponse, prefix: string): void {
  if (prefix === '') return;
  const location = response.getHeader('location');
  if (typeof location === 'string' && location.startsWith('/')) {
    response.setHeader('Location', prefix + location);
  }
  const link = response.getHeader('link');
  if (typeof link === 'string') response.setHeader('Link', link.replace(/^<\//, `<${prefix}/`));
}
