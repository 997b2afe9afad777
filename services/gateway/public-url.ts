import type { IncomingMessage } from 'node:http';
import { TLSSocket } from 'node:tls';
import { RegistryError } from '#libs/oci/errors.ts';

/** A host, with or without port: what may stand in a URL we make of it. */
const hostPattern = /^(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::\d{1,5})?$/;

/**
 * Scheme and host as the client sees us, without a slash at the end: those that are configured, unless the client came
 * directly by another name. X-Forwarded-Proto is believed from
 * anyone, since it can only turn http into https; X-Forwarded-Host from a trusted proxy only.
 * @throws RegistryError REQUEST_INVALID for a Host header that is no host
 */
export function publicUrl(
  request: IncomingMessage,
  fixed: string | undefined,
  proxyIsTrusted: boolean,
): string {
  // Whoever reached us by another name may reach us by that one only, as from inside of a network.
  if (fixed !== undefined) return namedDirectly(request, proxyIsTrusted) ?? fixed;
  const scheme = comesByTls(request) ? 'https' : 'http';
  const forwardedHost = proxyIsTrusted ? first(request.headers['x-forwarded-host']) : '';
  const host = forwardedHost || request.headers.host || localHost(request);
  if (!hostPattern.test(host)) {
    throw new RegistryError('REQUEST_INVALID', { message: 'the Host header is not a host' });
  }
  return `${scheme}://${host}`;
}

/** Whether a client comes by TLS, to us or, as that says, to a proxy. */
export function comesByTls({ socket, headers }: IncomingMessage): boolean {
  return socket instanceof TLSSocket || first(headers['x-forwarded-proto']) === 'https';
}

/** Headers by which proxies tell of who asked them. */
const ofProxies = ['forwarded', 'via', 'x-forwarded-for', 'x-forwarded-host', 'x-real-ip'] as const;

/**
 * The URL by which a client reached us itself, over TLS: it asked for the certificate of the very name that is in its Host
 * header, or, as clients do with an address, for none, and came to that very address. Without TLS a proxy that puts its own name for us into Host could not be told from a client.
 */
function namedDirectly(request: IncomingMessage, proxyIsTrusted: boolean): string | undefined {
  const { socket, headers } = request;
  const { host = '' } = headers;
  if (proxyIsTrusted || ofProxies.some((name) => headers[name] !== undefined)) return undefined;
  if (!(socket instanceof TLSSocket) || !hostPattern.test(host)) return undefined;
  const { servername } = socket as TLSSocket & { servername?: string | false };
  const name = host.replace(/:\d+$/, '').toLowerCase();
  // nginx as it comes names what it connects to, by HTTP/1.0 and without a header that says so.
  const isClient = request.httpVersion !== '1.0' && isAddressOf(socket, name);
  const isAsked = servername ? servername === name : isClient;
  return isAsked ? `https://${host}` : undefined;
}

/** Whether a name in a Host header is the address of our side of a connection. */
function isAddressOf({ localAddress = '' }: TLSSocket, name: string): boolean {
  const address = localAddress.replace(/^::ffff:(?=[\d.]+$)/, '');
  return name === address || name === `[${address}]`;
}

function first(header: string | string[] | undefined): string {
  return (String(header ?? '').split(',', 1)[0] ?? '').trim();
}

/** HTTP/1.0 need not name a host. */
function localHost({ socket }: IncomingMessage): string {
  return `${socket.localFamily === 'IPv6' ? `[${socket.localAddress}]` : socket.localAddress}:${socket.localPort}`;
}

/**
 * The path below `http.prefix`; undefined for one that is not below it.
 * @param prefix without a slash at the end; may be empty
 */
export function withoutPrefix(path: string, prefix: string): string | undefined {
  if (prefix === '') return path;
  if (path === prefix) return '/';
  return path.startsWith(`${prefix}/`) ? path.slice(prefix.length) : undefined;
}
