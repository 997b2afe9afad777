import { resolve } from 'node:path';
import type { TlsFiles } from '#libs/http/load-tls.ts';
import type { Configuration } from './schema/configuration.ts';

/** How clients reach the registry; times in ms. */
export interface HttpSettings {
  listen: { socket: string } | { host?: string; port: number };
  /** Path all routes stand under: empty, or `/x/y` without a slash at the end. */
  prefix: string;
  /** Scheme and host that clients use, if it is fixed: `https://registry.example.com`. */
  publicUrl: string | undefined;
  tls: TlsFiles | undefined;
  /** HTTP/2 beside HTTP/1.1; without `tls` of no effect. */
  http2: boolean;
  /** Sent with every answer. */
  headers: Record<string, string[]>;
  drainTimeout: number;
  /** Time a stopping process goes on as before, having said that it is no longer ready. */
  drainDelay: number;
  idleTimeout: number;
  headersTimeout: number;
  trustedProxies: string[];
  /** Addresses and ranges whose connections begin with a PROXY header; true for everybody's. */
  proxyProtocol: boolean | string[];
}

/** @throws Error with one clear sentence */
export function httpSettings(
  { http, portcullis }: Configuration,
  listen: HttpSettings['listen'],
): HttpSettings {
  return {
    listen,
    prefix: http.prefix.replace(/^\/*/, '/').replace(/\/+$/, ''),
    publicUrl: http.host === undefined ? undefined : parsePublicUrl(http.host),
    tls: tlsSettings(http.tls),
    http2: http.http2?.disabled === false,
    headers: http.headers,
    drainTimeout: http.draintimeout,
    drainDelay: portcullis.draindelay,
    idleTimeout: portcullis.gateway.idletimeout,
    headersTimeout: portcullis.gateway.headerstimeout,
    trustedProxies: portcullis.gateway.trustedproxies,
    proxyProtocol: portcullis.gateway.proxyprotocol,
  };
}

function tlsSettings(tls: Configuration['http']['tls']) {
  if (tls?.certificate === undefined && tls?.key === undefined) return undefined;
  if (tls.certificate === undefined || tls.key === undefined) {
    throw new Error('http.tls: certificate and key belong together; one of them is missing');
  }
  return {
    certificate: resolve(tls.certificate),
    key: resolve(tls.key),
    minVersion: tls.minimumtls === 'tls1.3' ? ('TLSv1.3' as const) : ('TLSv1.2' as const),
    ciphers: tls.ciphersuites ?? [],
  };
}

function parsePublicUrl(host: string): string {
  const url = URL.canParse(host) ? new URL(host) : undefined;
  if (url === undefined || !/^https?:$/.test(url.protocol)) {
    throw new Error(`http.host: "${host}" is not a URL such as https://registry.example.com`);
  }
  if (url.pathname !== '/' || url.search !== '') {
    throw new Error(`http.host: "${host}" has a path; a path that all clients use is http.prefix`);
  }
  return url.origin;
}
