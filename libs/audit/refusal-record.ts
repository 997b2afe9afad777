import type { AuditEvent, AuditLog } from '#libs/audit/audit-log.ts';
import type { Logger } from '#libs/log/logger.ts';
import { createTally } from './tally.ts';

type Refused = Extract<AuditEvent, 'denied' | 'forged'>;

/** A token that was not enough, or none. */
export interface RefusedToken {
  /** denied: one that does not cover this, was revoked, or is another issuer's or none; forged: one that says it is ours. */
  event: Refused;
  client: string;
  /** Empty where nobody proved who it is. */
  subject: string;
  /** What the request needs. */
  scope: string;
  why: string;
  requestId: string;
}

/** Tokens that the gateway or a core refuses, in the log and in the audit log: some of each network, then how many. */
export interface RefusalRecord {
  refused(token: RefusedToken): void;
  close(): void;
}

const messages: Readonly<Record<Refused, string>> = {
  denied: 'token refused',
  forged: 'token refused: it is not genuine',
};

/** @param audit gives the log once it is open */
export function createRefusalRecord(audit: () => AuditLog | undefined, log: Logger): RefusalRecord {
  const tally = createTally<Refused>({
    write(event, details) {
      log.info(details, messages[event]);
      audit()?.write(event, details);
    },
  });
  return {
    refused: ({ event, client, ...details }) => tally.record(event, client, details),
    close: tally.close,
  };
}
