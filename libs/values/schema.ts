import { z } from 'zod';
import { formatDuration, parseDuration } from './duration.ts';
import { isRedactedUrl, redacted, Secret } from './secret.ts';

/** What a value is, for overrides, for printing it and for the documentation. */
export type ValueKind =
  | 'text'
  | 'secret'
  | 'texts'
  | 'secrets'
  | 'flag'
  | 'count'
  | 'duration'
  | 'anything';

/** What the schema says of a setting beside its type. */
export interface SettingMeta {
  kind?: ValueKind;
  /** What it means, in one sentence, as `.describe` says it. */
  description?: string;
  /** Of a number or of milliseconds: the smallest and the largest. */
  bounds?: { least: number; most: number; orZero: boolean };
  /**
   * What an empty value is (`key:`, `key: ""`, an empty variable). Without it the key counts as not
   * written, so that its default is in force.
   */
  empty?: { refused: string } | 'kept';
}

/** The same setting with more said of it. */
function describe<Schema extends z.ZodType>(schema: Schema, meta: SettingMeta): Schema {
  return schema.meta({ ...schema.meta(), ...meta });
}

/**
 * A setting that must not be left empty, because its default opens or widens something.
 * @param instead what to write, or that the key can be left out
 */
export function notEmpty<Schema extends z.ZodType>(schema: Schema, instead: string): Schema {
  return describe(schema, { empty: { refused: instead } });
}

/** A setting for which `""` means something; nothing at all (`key:`) is refused. */
export function emptyAllowed<Schema extends z.ZodType>(schema: Schema): Schema {
  return describe(schema, { empty: 'kept' });
}

const mustBe = (what: string) => (issue: { input?: unknown }) =>
  issue.input === undefined || issue.input === null ? 'is missing' : `must be ${what}`;

const scalar = z.union([z.string(), z.number(), z.boolean()], { error: mustBe('text') });

/** Of what was copied from where secrets are not shown, somebody must be told. */
const copied = `${redacted} is what stands for a secret where it is shown; write the secret itself`;

/** YAML reads `realm: 123` as a number; where text is meant, text it becomes. */
export const text = describe(
  scalar.transform((value, ctx) => {
    const written = String(value);
    if (!isRedactedUrl(written)) return written;
    ctx.addIssue({ code: 'custom', message: copied });
    return z.NEVER;
  }),
  { kind: 'text' },
);

/** A value that is never shown. */
export const secret = describe(
  scalar.transform((value, ctx) => {
    if (value !== redacted) return new Secret(String(value));
    ctx.addIssue({ code: 'custom', message: copied });
    return z.NEVER;
  }),
  { kind: 'secret' },
);

/** What YAML 1.1, which the original reads, takes for a boolean beside true and false. */
const yes = /^(?:true|yes|on|y)$/i;
const no = /^(?:false|no|off|n)$/i;

export const flag = describe(
  z.union([z.boolean(), z.string()], { error: mustBe('true or false') }).transform((value, ctx) => {
    if (value === true || (value !== false && yes.test(value))) return true;
    if (value === false || no.test(value)) return false;
    ctx.addIssue({ code: 'custom', message: 'must be true or false' });
    return z.NEVER;
  }),
  { kind: 'flag' },
);

/** A whole number within bounds. */
export function count(least: number, most: number) {
  const message = `must be a whole number from ${least} to ${most}`;
  return describe(
    z
      .union([z.number(), z.string()], { error: mustBe(`a whole number from ${least} to ${most}`) })
      .transform((value, ctx) => {
        const number =
          typeof value === 'number' || /^-?\d{1,15}$/.test(value) ? Number(value) : NaN;
        if (Number.isInteger(number) && number >= least && number <= most) return number;
        ctx.addIssue({ code: 'custom', message });
        return z.NEVER;
      }),
    { kind: 'count', bounds: { least, most, orZero: false } },
  );
}

/**
 * A Go duration within bounds; a bare number counts nanoseconds, as Go has it, and one of less than a millisecond of them
 * was meant in another unit. Becomes whole milliseconds; what is less than one is one, so that nothing but zero is zero.
 * @param least and `most` in Go's form
 * @param orZero whether 0 is allowed besides, with a meaning of its own
 */
export function duration(least: string, most: string, { orZero = false } = {}) {
  const bounds = { least: parseDuration(least) ?? 0, most: parseDuration(most) ?? 0, orZero };
  const message = `must be from ${least} to ${most}${orZero ? ', or 0s' : ''}`;
  return describe(
    z
      .union([z.string(), z.number()], { error: mustBe('a duration such as 10s, 5m or 1h30m') })
      .transform((value, ctx) => {
        const exact = typeof value === 'number' ? value / 1e6 : parseDuration(value.trim());
        if (exact === undefined || !(exact >= 0)) {
          ctx.addIssue({
            code: 'custom',
            message: `"${value}" is not a duration such as 10s, 5m or 1h30m`,
          });
          return z.NEVER;
        }
        // A sum of fractions is off by less than a nanosecond, which is no millisecond more.
        const ms = exact === 0 ? 0 : Math.ceil(exact - 1e-7);
        const meant = typeof value === 'number' ? withUnits(value, bounds) : [];
        const unit = meant.length === 0 ? '' : `; write ${meant.join(' or ')}, with a unit`;
        const isLess = typeof value === 'number' && exact > 0 && exact < 1;
        if ((ms >= bounds.least && ms <= bounds.most) || (orZero && ms === 0)) {
          if (!isLess || meant.length === 0) return ms;
          ctx.addIssue({ code: 'custom', message: `is ${value} nanoseconds${unit}` });
          return z.NEVER;
        }
        const written = typeof value === 'number' ? value : formatDuration(ms);
        ctx.addIssue({ code: 'custom', message: `${message}, not ${written}${unit}` });
        return z.NEVER;
      }),
    { kind: 'duration', bounds },
  );
}

/** What a number without a unit may have been meant to be, as far as that is within the bounds. */
function withUnits(value: number, { least, most }: { least: number; most: number }): string[] {
  return ['s', 'm', 'h']
    .map((unit) => `${value}${unit}`)
    .filter((text) => {
      const ms = parseDuration(text);
      return ms !== undefined && ms >= least && ms <= most;
    })
    .slice(0, 2);
}

/** One value or a list of them; `""` is none. */
export const textList = describe(
  z
    .union([scalar, z.array(scalar)], { error: mustBe('a text or a list of texts') })
    .transform((value, ctx) => {
      const list = [value].flat().map(String);
      if (!list.includes('')) return list;
      ctx.addIssue({ code: 'custom', message: 'has an empty entry' });
      return z.NEVER;
    }),
  { kind: 'texts' },
);

/** The values of a header, which may be empty. */
export const headerValues = describe(
  z
    .union([scalar, z.array(scalar)], { error: mustBe('a text or a list of texts') })
    .transform((value) => [value].flat().map(String))
    .refine((values) => values.every(isHeaderValue), {
      message:
        'has a line break or another character that no header may have (RFC 9110 section 5.5)',
    }),
  { kind: 'texts' },
);

function isHeaderValue(text: string): boolean {
  return /^[\t\x20-\x7e\x80-\xff]*$/.test(text);
}

/** One value or a list of them, which are never shown. */
export const secretList = describe(
  z
    .union([scalar, z.array(scalar)], { error: mustBe('a text or a list of texts') })
    .transform((value, ctx) => {
      const list = [value].flat();
      if (!list.includes(redacted)) return list.map((one) => new Secret(String(one)));
      ctx.addIssue({ code: 'custom', message: copied });
      return z.NEVER;
    }),
  { kind: 'secrets' },
);

/** Keys of our own choosing or a driver's, whose values are handed on as they are. */
export const anything = describe(z.record(z.string(), z.unknown()), { kind: 'anything' });
