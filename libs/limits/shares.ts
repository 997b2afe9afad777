import type { Parties } from './parties.ts';

/** From here on it is shared out; before, everybody takes what there is. */
const plenty = 0.75;

/** Of the last part nobody gets more than a little: so there is some for whoever comes, however many have taken all they can. */
const reserved = { part: 1 / 8, each: 1 / 128 } as const;

/** Who has how much of something. */
export interface Shares {
  readonly used: number;
  /** True if these parties may have so much more. */
  has(parties: Parties, amount: number): boolean;
  add(parties: Parties, amount: number): void;
  remove(parties: Parties, amount: number): void;
  /** What the largest of these parties has. */
  most(parties: Parties): number;
}

/** One party, among those that share something with it. */
interface Member {
  /** What is shared: by accounts, by networks, or by the networks in one. */
  group: string;
  party: string;
}

export function createShares(capacity: number): Shares {
  /** By group, then by party; those that have nothing are not in it. */
  const groups = new Map<string, Map<string, number>>();
  let used = 0;

  const mineOf = ({ group, party }: Member) => groups.get(group)?.get(party) ?? 0;

  function change(parties: Parties, amount: number): void {
    used += amount;
    for (const { group, party } of membersOf(parties)) {
      const known = groups.get(group) ?? new Map<string, number>();
      const now = (known.get(party) ?? 0) + amount;
      if (now > 0) known.set(party, now);
      else known.delete(party);
      if (known.size > 0) groups.set(group, known);
      else groups.delete(group);
    }
  }

  /** Its part of what there is: of the whole with one to come, of a network's with the others in it. */
  function shareOf(member: Member, widerShare: number | undefined): number {
    const others = groups.get(member.group)?.size ?? 0;
    return widerShare === undefined ? capacity / (others + 1) : widerShare / Math.max(1, others);
  }

  return {
    get used() {
      return used;
    },
    has(parties, amount) {
      if (used + amount > capacity) return false;
      if (used + amount <= capacity * plenty) return true;
      let widerShare: number | undefined;
      for (const member of membersOf(parties)) {
        const isWithin = member.group.startsWith(within);
        const share = shareOf(member, isWithin ? widerShare : undefined);
        widerShare = share;
        const mine = mineOf(member);
        // One who has nothing yet is never told to wait for a share that is smaller than what it needs.
        if (mine === 0) continue;
        const left = capacity - used - amount;
        // Never more than is left for others, so that two do not take all there is, nor three.
        const most = left < capacity * reserved.part ? capacity * reserved.each : left;
        if (mine + amount > Math.min(share, most)) return false;
      }
      return true;
    },
    add: change,
    remove: (parties, amount) => change(parties, -amount),
    most: (parties) => Math.max(0, ...membersOf(parties).map(mineOf)),
  };
}

const within = 'in ';

function membersOf({ subject, networks }: Parties): Member[] {
  const members = networks.map((party, index) => {
    const wider = networks[index - 1];
    return { group: wider === undefined ? 'networks' : `${within}${wider}`, party };
  });
  return subject === '' ? members : [{ group: 'accounts', party: subject }, ...members];
}
