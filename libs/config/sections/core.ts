import { z } from 'zod';
import { count, duration, text } from '../../values/schema.ts';
import { workersSchema } from './workers.ts';

const MiB = 1024 * 1024;

/** What a core spends at once, and on one thing; see docs/reliability.md, "A budget for everybody". */
export const coreLimitsSchema = z.object({
  descriptors: count(128, 1_000_000).default(10_000).describe('Most descriptors of one manifest.'),
  manifests: count(8 * MiB, 1024 * MiB * 1024)
    .default(64 * MiB)
    .describe('Bytes of the manifests that are taken at the same time.'),
  downloads: count(8 * MiB, 1024 * MiB * 1024)
    .default(256 * MiB)
    .describe('Bytes of memory for blobs on their way to clients.'),
  listings: count(1, 10_000).default(16).describe('Listings that are made at the same time.'),
  uploads: count(16, 1_000_000)
    .default(1000)
    .describe(
      'Open uploads without a byte for each account, and for anonymous clients in each repository and of each network; ten times as many with bytes.',
    ),
  emptyuploads: duration('1m', '8760h')
    .default(3_600_000)
    .describe('How long an upload without a byte stays.'),
});

/** What a core may spend at once; see docs/reliability.md. */
export type CoreLimits = z.infer<typeof coreLimitsSchema>;

/** `portcullis.core`: the storage core. */
export const coreSchema = z.object({
  listen: text
    .optional()
    .describe('Address of the core for other machines, such as :5001; without it a Unix socket.'),
  debug: text.optional().describe('Address for its own health checks and metrics.'),
  workers: workersSchema.describe('How many cores run, with redis; auto is one for each CPU.'),
  limits: coreLimitsSchema.prefault({}),
});
