import { networksOf } from '#libs/values/client-networks.ts';

type Details = Readonly<Record<string, unknown>>;

/** Events that one client can cause without end: the first of a network are written whole, of the others how many. */
export interface Tally<Event extends string> {
  /**
   * @param client address of who caused it
   * @param details what one line of it says
   */
  record(event: Event, client: string, details: Details): void;
  /** Writes what was only counted so far. */
  close(): void;
}

export interface TallyOptions<Event extends string> {
  write(event: Event, details: Details): void;
  /** Milliseconds between two lines about the same. */
  interval?: number;
  /** Events of one network and interval that are written whole. */
  whole?: number;
  /** Networks that are told apart within an interval; others are counted together. */
  networks?: number;
}

interface Count<Event> {
  event: Event;
  client: string;
  seen: number;
  since: Date;
}

/** What stands for the networks beyond those that are told apart. */
const others = 'others';

export function createTally<Event extends string>(options: TallyOptions<Event>): Tally<Event> {
  const { write, interval = 60_000, whole = 10, networks = 500 } = options;
  let counts = new Map<string, Count<Event>>();

  function flush(): void {
    const ended = counts;
    counts = new Map();
    for (const { event, client, seen, since } of ended.values()) {
      if (seen <= whole && client !== others) continue;
      const count = client === others ? seen : seen - whole;
      write(event, { client, count, since: since.toISOString() });
    }
  }
  const timer = setInterval(flush, interval).unref();

  return {
    record(event, client, details) {
      const [network] = networksOf(client);
      const own = `${event} ${network}`;
      const isNew = !counts.has(own);
      const name = isNew && counts.size >= networks ? others : network;
      const key = `${event} ${name}`;
      const count = counts.get(key) ?? { event, client: name, seen: 0, since: new Date() };
      count.seen += 1;
      counts.set(key, count);
      if (name !== others && count.seen <= whole) write(event, { ...details, client });
    },
    close() {
      clearInterval(timer);
      flush();
    },
  };
}
