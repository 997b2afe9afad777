import { z } from 'zod';
import { count, duration } from '../../values/schema.ts';

const MiB = 1024 * 1024;

/** What a core spends at once, and on one thing; see docs/reliability.md, "A budget for everybody". */
export const coreLimitsSchema = z.object({
  /** Descriptors of one manifest. */
  descriptors: count(128, 1_000_000).default(10_000),
  /** Bytes of the manifests that are taken at the same time. */
  manifests: count(8 * MiB, 1024 * MiB * 1024).default(64 * MiB),
  /** Bytes of memory for blobs on their way to clients. */
  downloads: count(8 * MiB, 1024 * MiB * 1024).default(256 * MiB),
  /** Listings that are made at the same time. */
  listings: count(1, 10_000).default(16),
  /** Uploads without a byte that one account, and one repository, may have open; ten times as many with. */
  uploads: count(16, 1_000_000).default(1000),
  /** How long an upload without a byte stays. */
  emptyuploads: duration('1m', '8760h').default(3_600_000),
});

/** The same of a gateway. */
export const gatewayLimitsSchema = z.object({
  /** Connections of clients. */
  connections: count(16, 1_000_000).default(10_000),
  /** Requests being served. */
  requests: count(16, 1_000_000).default(10_000),
});
