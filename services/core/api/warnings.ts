import type { CoreContext } from './handler.ts';

/** Bytes of warnings that one answer may carry (distribution-spec, "Warnings"). */
const maxBytes = 4096;

/** Tells the person at the client something that changes nothing (distribution-spec, "Warnings"). */
export function warn(ctx: CoreContext, text: string): void {
  const safe = text.replace(/[^\x20-\x7e]/g, '?').replace(/["\\]/g, '\\$&');
  const value = `299 - "${safe}"`;
  const before = ctx.response.headers.warning ?? [];
  const values = [...(Array.isArray(before) ? before : [before]), value];
  const bytes = values.reduce((sum, one) => sum + Buffer.byteLength(`Warning: ${one}\r\n`), 0);
  if (bytes <= maxBytes) ctx.set('Warning', values);
}
