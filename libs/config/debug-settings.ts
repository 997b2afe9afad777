import { parseAddress } from '../values/listen-address.ts';
import type { Configuration } from './schema/configuration.ts';

type Address = ReturnType<typeof parseAddress>;

/** Where processes tell how they are: `http.debug`; see docs/observability.md. */
export interface DebugSettings {
  /** The gateway's, and that of a process that runs alone and has none of its own. */
  shared: Address | undefined;
  /** Those that `portcullis` gives to single processes. */
  own: { auth?: Address; core?: Address };
  /** Where the metrics are; undefined: nothing is measured. */
  metricsPath: string | undefined;
}

/** @throws Error with one clear sentence for an address that is none */
export function debugSettings({ http, portcullis }: Configuration): DebugSettings {
  const { addr, prometheus } = http.debug ?? {};
  const { auth, core } = portcullis;
  const path = prometheus?.path || '/metrics';
  return {
    shared: given(addr) ? parseAddress(addr, 'http.debug.addr') : undefined,
    own: {
      ...(given(auth.debug) ? { auth: parseAddress(auth.debug, 'portcullis.auth.debug') } : {}),
      ...(given(core.debug) ? { core: parseAddress(core.debug, 'portcullis.core.debug') } : {}),
    },
    metricsPath: prometheus?.enabled === true ? path.replace(/^\/*/, '/') : undefined,
  };
}

function given(addr: string | undefined): addr is string {
  return addr !== undefined && addr !== '';
}
