import { z } from 'zod';
import { parseAddress } from '../../values/listen-address.ts';
import { flag, text } from '../../values/schema.ts';

export const debugSchema = z.object({
  addr: text
    .optional()
    .describe('Address for health checks, metrics and the state of the processes.'),
  prometheus: z
    .object({
      enabled: flag.optional().describe('Whether metrics are served.'),
      path: text.optional().describe('Their path; /metrics without it.'),
    })
    .optional(),
});

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

/**
 * @param ofServices `portcullis.auth.debug` and `portcullis.core.debug`
 * @throws Error with one clear sentence for an address that is none
 */
export function debugSettings(
  debug: z.infer<typeof debugSchema> | undefined,
  ofServices: Readonly<Record<'auth' | 'core', string | undefined>>,
): DebugSettings {
  const { addr, prometheus } = debug ?? {};
  const { auth, core } = ofServices;
  const path = prometheus?.path || '/metrics';
  return {
    shared: given(addr) ? parseAddress(addr, 'http.debug.addr') : undefined,
    own: {
      ...(given(auth) ? { auth: parseAddress(auth, 'portcullis.auth.debug') } : {}),
      ...(given(core) ? { core: parseAddress(core, 'portcullis.core.debug') } : {}),
    },
    metricsPath: prometheus?.enabled === true ? path.replace(/^\/*/, '/') : undefined,
  };
}

function given(addr: string | undefined): addr is string {
  return addr !== undefined && addr !== '';
}

/** What is wrong with the addresses beside the one that clients come to, a sentence each. */
export function checkDebugAddress(
  { shared }: DebugSettings,
  listen: { socket: string } | { host?: string; port: number },
): string[] {
  if (shared === undefined || !('port' in listen) || shared.port === 0) return [];
  if (shared.port !== listen.port || shared.host !== listen.host) return [];
  return ['http.debug.addr: is the same address as http.addr; use another port'];
}
