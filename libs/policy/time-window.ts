import type { AccessRule } from './rule-schema.ts';

type Window = NonNullable<AccessRule['match']['time']>;

const dayNames = ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'];

/**
 * Compiles a window of the week in a time zone: `days: mon-fri,sun`, `hours: 08:00-18:00`. Hours that end before
 * they begin go over midnight and belong to the day they began on.
 * @throws Error naming what cannot be understood
 */
export function compileWindow({ days, hours, zone }: Window): (now: Date) => boolean {
  const wanted = days === undefined ? undefined : parseDays(days);
  const span = hours === undefined ? undefined : parseHours(hours);
  let format: Intl.DateTimeFormat;
  try {
    format = new Intl.DateTimeFormat('en-GB', {
      timeZone: zone,
      weekday: 'short',
      hour: '2-digit',
      minute: '2-digit',
      hourCycle: 'h23',
    });
  } catch (error) {
    throw new Error(`time.zone: "${zone}" is not a time zone such as Europe/Berlin`, {
      cause: error,
    });
  }
  return (now) => {
    const parts = new Map(format.formatToParts(now).map(({ type, value }) => [type, value]));
    const day = dayNames.indexOf(parts.get('weekday')?.toLowerCase() ?? '');
    const minute = Number(parts.get('hour')) * 60 + Number(parts.get('minute'));
    const isWanted = (one: number) => wanted === undefined || wanted.has((one + 7) % 7);
    if (span === undefined) return isWanted(day);
    const { from, to } = span;
    if (from <= to) return isWanted(day) && minute >= from && minute < to;
    return (isWanted(day) && minute >= from) || (isWanted(day - 1) && minute < to);
  };
}

function parseDays(text: string): Set<number> {
  const days = new Set<number>();
  for (const part of text.toLowerCase().split(',')) {
    const [first = '', last = first, ...more] = part.trim().split('-');
    const [from, to] = [dayNames.indexOf(first), dayNames.indexOf(last)];
    if (from < 0 || to < 0 || more.length > 0) {
      throw new Error(`time.days: "${text}" is not of the form mon-fri or sat,sun`);
    }
    for (let day = from; ; day = (day + 1) % 7) {
      days.add(day);
      if (day === to) break;
    }
  }
  return days;
}

/** Minutes of the day; the end is not part of it. */
function parseHours(text: string): { from: number; to: number } {
  const match = /^(\d\d):(\d\d)-(\d\d):(\d\d)$/.exec(text.trim());
  const [, a = 0, b = 0, c = 0, d = 0] = (match ?? []).map(Number);
  if (match === null || a > 23 || b > 59 || d > 59 || c * 60 + d > 1440) {
    throw new Error(`time.hours: "${text}" is not of the form 08:00-18:00`);
  }
  const [from, to] = [a * 60 + b, c * 60 + d];
  if (from === to)
    throw new Error(
      `time.hours: "${text}" begins when it ends; leave hours away for the whole day`,
    );
  return { from, to };
}
