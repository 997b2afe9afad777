import type { Access } from '#libs/access/scope.ts';

/** Who asks, as the rules see it. */
export interface Caller {
  /** Empty for an anonymous client. */
  account: string;
  /** Address of the client; empty if it is not known. */
  client: string;
  /** The service that tokens are for. */
  service: string;
  /** What is known of the account besides: a workload's claims. */
  labels: Readonly<Record<string, readonly string[]>>;
  /** What a robot may do, instead of what rules allow; their denials hold for it too. */
  access?: readonly Access[];
}

/** @param more what is known of it besides its name */
export function callerOf(
  account: string,
  { client = '', service = '', labels = {}, access }: CallerFacts = {},
): Caller {
  return { account, client, service, labels, ...(access === undefined ? {} : { access }) };
}

type CallerFacts = { [Key in keyof Caller]?: Caller[Key] | undefined };
