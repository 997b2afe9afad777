import type { CertificateFiles } from '#libs/tls/certificate-files.ts';

/** How Redis is reached; times in milliseconds. */
export interface RedisSettings {
  kind: 'single' | 'sentinel' | 'cluster';
  /** The server, the Sentinels, or some nodes of the Cluster. */
  addresses: [RedisAddress, ...RedisAddress[]];
  /** What the Sentinels call the master; empty for the other kinds. */
  masterName: string;
  username: string | undefined;
  password: string | undefined;
  sentinelUsername: string | undefined;
  sentinelPassword: string | undefined;
  db: number;
  clientName: string | undefined;
  dialTimeout: number;
  /** A command without an answer for so long means that Redis is away. */
  commandTimeout: number;
  /** Files; undefined: no TLS. `own`: by which we show who we are. */
  tls: { authorities: string[]; own: CertificateFiles | undefined } | undefined;
}

export interface RedisAddress {
  host: string;
  port: number;
}
