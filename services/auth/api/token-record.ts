import type { AuditEvent, AuditLog } from '#libs/audit/audit-log.ts';
import { createTally } from '#libs/audit/tally.ts';
import type { Logger } from '#libs/log/logger.ts';
import type { Limited } from '../limits/login-limits.ts';

type Details = Readonly<Record<string, unknown>>;

interface Login {
  subject: string;
  client: string;
  by: 'password' | 'identity token' | 'workload token';
  requestId: string;
}

/**
 * How token requests end, in the log and in the audit log: one line of bounded length for each that proved who it is;
 * of what anybody can cause, so many lines of each network, then how many there were.
 */
export interface TokenRecord {
  login(login: Login): void;
  refused(login: Login & { why: string }): void;
  limited(limited: Limited): void;
  issued(facts: { subject: string; client: string } & Details): void;
  close(): void;
}

type Told = Extract<AuditEvent, 'login' | 'limited' | 'token'>;

const messages: Readonly<Record<Told, string>> = {
  login: 'login refused',
  limited: 'too many attempts: not looked at',
  token: 'token issued',
};

/** @param log not of one request: lines tell of several */
export function createTokenRecord(audit: AuditLog, log: Logger): TokenRecord {
  const tally = createTally<Told>({
    write(event, details) {
      log[event === 'limited' ? 'warn' : 'info'](forLog(details), messages[event]);
      audit.write(event, event === 'login' ? { ...details, ok: false } : details);
    },
  });
  return {
    login: (login) => audit.write('login', { ...login, ok: true }),
    refused: ({ client, ...login }) => tally.record('login', client, login),
    limited: ({ client, account, limit }) =>
      tally.record('limited', client, { subject: account, limit }),
    issued({ client, ...facts }) {
      if (facts.subject === '') return tally.record('token', client, facts);
      log.info(forLog({ ...facts, client }), messages.token);
      audit.write('token', { ...facts, client });
    },
    close: tally.close,
  };
}

/** Configurations of the original give each line a field `service`; whom a token is for is another one. */
function forLog({ service, ...details }: Details): Details {
  return service === undefined ? details : { ...details, audience: service };
}
