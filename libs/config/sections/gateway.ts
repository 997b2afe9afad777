import { z } from 'zod';
import { createNetworks } from '../../values/networks.ts';
import { count, duration, flag, textList } from '../../values/schema.ts';
import { workersSchema } from './workers.ts';

const MiB = 1024 * 1024;

/** What a gateway serves at once. */
export const gatewayLimitsSchema = z.object({
  connections: count(16, 1_000_000).default(10_000).describe('Connections of clients.'),
  requests: count(16, 1_000_000)
    .default(10_000)
    .describe('Requests that are served at the same time.'),
  downloads: count(8 * MiB, 1024 * MiB * 1024)
    .default(128 * MiB)
    .describe('Bytes of memory for blobs that a gateway reads itself; TLS takes as much again.'),
});

/** What a gateway may spend at once; see docs/reliability.md. */
export type GatewayLimits = z.infer<typeof gatewayLimitsSchema>;

/** `portcullis.gateway`. */
export const gatewaySchema = z.object({
  cores: textList
    .default([])
    .describe(
      'Where the cores are: http://host:port, https://… or unix:/path; a name may be many.',
    ),
  auth: textList
    .default([])
    .describe('Where gateways and cores find the token services, in the same form.'),
  trustedproxies: textList
    .default([])
    .describe(
      'Addresses and ranges of the proxies whose X-Forwarded-For, X-Forwarded-Host and X-Request-Id are believed.',
    ),
  proxyprotocol: z
    .union([flag, textList])
    .default(false)
    .describe(
      'Addresses and ranges of the balancers whose connections begin with a PROXY header; true for everybody.',
    ),
  idletimeout: duration('1s', '24h')
    .default(60_000)
    .describe('Time without a byte after which a transfer is given up.'),
  headerstimeout: duration('1s', '1h')
    .default(20_000)
    .describe('How long the headers of a request may take.'),
  offload: z
    .union([flag, z.enum(['auto', 'on', 'off'])])
    .transform((value) => (typeof value === 'string' ? value : value ? 'on' : 'off'))
    .default('auto')
    .describe(
      'Whether gateways read the bytes of blobs from storage and (auto alone) write those of uploads to it themselves, and give answers again while the files that decided them are unchanged: auto where they share it with the cores of their machine; on where all cores have it at the same path, as on NFS.',
    ),
  workers: workersSchema.describe('How many gateways run; auto is one for each CPU.'),
  limits: gatewayLimitsSchema.prefault({}),
});

/** How the gateway meets its clients; times in ms. */
export interface GatewaySettings {
  idleTimeout: number;
  headersTimeout: number;
  trustedProxies: string[];
  /** Addresses and ranges whose connections begin with a PROXY header; true for everybody's. */
  proxyProtocol: boolean | string[];
  limits: GatewayLimits;
  /** Whether blobs are read here: where it is sure that cores have the same tree, always, or never. */
  offload: 'auto' | 'on' | 'off';
}

export function gatewaySettings(gateway: z.infer<typeof gatewaySchema>): GatewaySettings {
  const { idletimeout, headerstimeout, trustedproxies, proxyprotocol, limits, offload } = gateway;
  return {
    idleTimeout: idletimeout,
    headersTimeout: headerstimeout,
    trustedProxies: trustedproxies,
    proxyProtocol: proxyprotocol,
    limits,
    offload,
  };
}

/** Compiles the ranges. @throws Error with one clear sentence for one that is none */
export function assertNetworks({ trustedProxies, proxyProtocol }: GatewaySettings): void {
  createNetworks(trustedProxies, 'portcullis.gateway.trustedproxies');
  if (typeof proxyProtocol !== 'boolean') {
    createNetworks(proxyProtocol, 'portcullis.gateway.proxyprotocol');
  }
}
