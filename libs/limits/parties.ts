import { networksOf } from '#libs/values/client-networks.ts';

/** Whom something is counted for. One who asks takes from the share of each. */
export interface Parties {
  /** The account; empty for nobody, who then counts by the network alone. */
  readonly subject: string;
  /** The widest first, each within the one before: an IPv4 address, or of IPv6 its /48, /56 and /64. */
  readonly networks: readonly string[];
}

/** One name for them: the account, or without one the widest network. */
export function nameOf({ subject, networks }: Parties): string {
  return subject === '' ? `from ${networks[0] ?? ''}` : `by ${subject}`;
}

/** @param client an address; what is none counts as one client */
export function partiesOf(client: string, subject = ''): Parties {
  return { subject, networks: networksOf(client).reverse() };
}
