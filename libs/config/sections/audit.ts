import { resolve } from 'node:path';
import type { AuditDestination } from '#libs/audit/audit-log.ts';
import { text } from '../../values/schema.ts';

export const auditSchema = text
  .optional()
  .describe('Where decisions are written, a JSON line each: a file, stdout or stderr.');

export function auditSettings(audit: string | undefined): AuditDestination | undefined {
  if (audit === undefined) return undefined;
  if (audit === 'stdout' || audit === 'stderr') return { path: undefined, stream: audit };
  return { path: resolve(audit), stream: undefined };
}
