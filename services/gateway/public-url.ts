import type { IncomingMessage } from 'node:http';
import { TLSSocket } from 'node:tls';
import { RegistryError } from '#libs/oci/errors.ts';

/** A host, with or without port: what may stand in a URL we make of it. */
const hostPattern = /^(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::\d{1,5})?$/;

/**
 * Scheme and host as the client sees us, without a slash at the end. X-Forwarded-Proto is believed from
 * anyone, since it can only turn http into https; X-Forwarded-Host from a trusted proxy only.
 * @throws RegistryError REQUEST_INVALID for a Host header that is no host
 */
export function publicUrl(
  request: IncomingMessage,
  fixed: string | undefined,
  proxyIsTrusted: boolean,
): string {
  if (fixed !== undefined) return fixed;
  const forwarded = first(request.headers['x-forwarded-proto']);
  const scheme = request.socket instanceof TLSSocket || forwarded === 'https' ? 'https' : 'http';
  const forwardedHost = proxyIsTrusted ? first(request.headers['x-forwarded-host']) : '';
  const host = forwardedHost || request.headers.host || localHost(request);
  if (!hostPattern.test(host)) {
    throw new RegistryError('REQUEST_INVALID', { message: 'the Host header is not a host' });
  }
  return `${scheme}://${host}`;
}

function first(header: string | string[] | undefined): string {
  return (String(header ?? '').split(',', 1)[0] ?? '').trim();
}

/** HTTP/1.0 need not name a host. */
function localHost({ socket }: IncomingMessage): string {
  return `${socket.localFamily === 'IPv6' ? `[${socket.localAddress}]` : socket.localAddress}:${socket.localPort}`;
}
