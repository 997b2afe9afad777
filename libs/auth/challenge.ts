import { type Access, formatScope } from '../access/scope.ts';

export interface BearerChallenge {
  /** Where a token can be had. */
  realm: string;
  service: string;
  /** What the request needed. */
  scope?: readonly Access[];
  /** RFC 6750 section 3.1; containerd renews its token only when it sees one of these. */
  error?: 'invalid_token' | 'insufficient_scope';
}

/** The value of WWW-Authenticate for a registry client (RFC 6750 section 3). */
export function formatBearerChallenge({ realm, service, scope, error }: BearerChallenge): string {
  const parts = [`realm=${quote(realm)}`, `service=${quote(service)}`];
  if (scope !== undefined && scope.length > 0) {
    parts.push(`scope=${quote(scope.map(formatScope).join(' '))}`);
  }
  if (error !== undefined) parts.push(`error=${quote(error)}`);
  return `Bearer ${parts.join(',')}`;
}

/** The value of WWW-Authenticate for a person's browser (RFC 7617). */
export function formatBasicChallenge(realm: string): string {
  return `Basic realm=${quote(realm)}, charset="UTF-8"`;
}

function quote(text: string): string {
  return `"${text.replace(/[^ -~]/g, '').replace(/["\\]/g, '\\$&')}"`;
}
