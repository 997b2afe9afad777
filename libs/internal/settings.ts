import type { InternalAddress } from './address.ts';

/** How our processes reach each other. */
export interface InternalSettings {
  core: InternalListener;
  auth: InternalListener;
  /** Where gateways find the cores. */
  cores: InternalAddress[];
  /** Where gateways and cores find the token services. */
  auths: InternalAddress[];
  /** `http.secret`: proves to a process on another machine that a request comes from one of ours. */
  secret: string | undefined;
  /** Files. */
  tls: { certificate: string; key: string } | undefined;
  /** Files of the authorities that sign the others' certificates; empty: the system's. */
  authorities: string[];
}

export interface InternalListener {
  listen: { socket: string } | { host?: string; port: number };
  /** Whether others come by a Unix socket, and need no proof. */
  isPrivate: boolean;
}
