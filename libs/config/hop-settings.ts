import { resolve } from 'node:path';
import { type HopAddress, parseHopAddress } from '#libs/hop/address.ts';
import { parseAddress } from './parse-address.ts';
import type { Configuration } from './schema/configuration.ts';

/** How our processes reach each other. */
export interface HopSettings {
  core: HopListener;
  auth: HopListener;
  /** Where gateways find the cores. */
  cores: HopAddress[];
  /** Where gateways and cores find the token services. */
  auths: HopAddress[];
  /** `http.secret`: proves to a process on another machine that a request comes from one of ours. */
  secret: string | undefined;
  /** Files. */
  tls: { certificate: string; key: string } | undefined;
  /** Files of the authorities that sign the others' certificates; empty: the system's. */
  authorities: string[];
}

export interface HopListener {
  listen: { socket: string } | { host?: string; port: number };
  /** Whether others come by a Unix socket, and need no proof. */
  isPrivate: boolean;
}

/** @throws Error with one clear sentence */
export function hopSettings(
  { portcullis, http }: Configuration,
  sockets: { auth: string; core: string },
): HopSettings {
  const { gateway, core, auth, hop } = portcullis;
  const cores = addresses(gateway.cores, 'portcullis.gateway.cores', sockets.core);
  const auths = addresses(gateway.auth, 'portcullis.gateway.auth', sockets.auth);
  const remote =
    core.listen ??
    auth.listen ??
    [...gateway.cores, ...gateway.auth].find((address) => !address.startsWith('unix:'));
  if (remote !== undefined && (http.secret ?? '').length < 16) {
    throw new Error(
      `http.secret: processes that reach each other at ${remote} need the same secret of at least 16 characters (openssl rand -hex 32)`,
    );
  }
  if ((hop.certificate === undefined) !== (hop.key === undefined)) {
    throw new Error('portcullis.hop: certificate and key belong together; one of them is missing');
  }
  return {
    core: listener(core.listen, 'portcullis.core.listen', sockets.core),
    auth: listener(auth.listen, 'portcullis.auth.listen', sockets.auth),
    cores,
    auths,
    secret: http.secret,
    tls:
      hop.certificate === undefined || hop.key === undefined
        ? undefined
        : { certificate: resolve(hop.certificate), key: resolve(hop.key) },
    authorities: hop.rootcas.map((path) => resolve(path)),
  };
}

function addresses(given: readonly string[], key: string, socket: string): HopAddress[] {
  if (given.length === 0) return [{ kind: 'unix', socket }];
  return given.map((text) => parseHopAddress(text, key));
}

function listener(given: string | undefined, key: string, socket: string): HopListener {
  if (given === undefined) return { listen: { socket }, isPrivate: true };
  const unix = /^unix:(\/.+)$/.exec(given)?.[1];
  if (unix !== undefined) return { listen: { socket: unix }, isPrivate: true };
  return { listen: parseAddress(given, key), isPrivate: false };
}
