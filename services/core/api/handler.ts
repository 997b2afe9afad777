import type { ParameterizedContext } from 'koa';
import type { Access } from '#libs/access/scope.ts';
import type { RouteMatch, RouteParams } from '#libs/api/match-route.ts';
import type { AuditEvent } from '#libs/audit/audit-log.ts';
import type { CallerDetails } from '#libs/auth/claims.ts';
import type { RequestState } from '#libs/http/app.ts';
import type { Requester } from '../sessions/locks.ts';

/** Whose access the rules decide. */
export interface Principal {
  subject: string;
  /** What its token says of it besides. */
  details: CallerDetails | undefined;
  /** Address of the client. */
  client: string;
}

/** Who asks, as the verified token says; an open registry knows nobody and grants everything. */
export interface Caller extends Principal {
  /** Undefined in an open registry. */
  granted: readonly Access[] | undefined;
}

export interface CoreState extends RequestState {
  match: RouteMatch;
  caller: Caller;
  /** Until when it may be carried out. */
  requester: Requester;
  /** Writes down what the caller did. */
  audit(event: AuditEvent, details: Readonly<Record<string, unknown>>): void;
}

export type CoreContext = ParameterizedContext<CoreState>;

/** Serves one row of the route table. */
export type Handler = (ctx: CoreContext, params: RouteParams) => Promise<void>;
