import type { OutgoingHttpHeaders } from 'node:http';
import { RegistryError } from '#libs/oci/errors.ts';

export interface RenderedError {
  status: number;
  headers: OutgoingHttpHeaders;
  body: string;
}

/**
 * The only writer of error bodies (distribution-spec, "Error Codes"). Anything but a RegistryError
 * becomes UNKNOWN: its text is for the log, not for the client.
 */
export function renderError(error: unknown): RenderedError {
  const known = error instanceof RegistryError ? error : new RegistryError('UNKNOWN');
  const { code, message, detail, status, retryAfter } = known;
  const entry = detail === undefined ? { code, message } : { code, message, detail };
  const headers: OutgoingHttpHeaders = { 'Content-Type': 'application/json' };
  if (retryAfter !== undefined) headers['Retry-After'] = String(retryAfter);
  if (code === 'UNSUPPORTED') headers.Allow = allowed(detail);
  return { status, headers, body: `${JSON.stringify({ errors: [entry] })}\n` };
}

function allowed(detail: unknown): string {
  const allow = (detail as { allow?: unknown } | undefined)?.allow;
  return Array.isArray(allow) ? allow.join(', ') : 'GET, HEAD';
}
