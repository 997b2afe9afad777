import { z } from 'zod';

/** YAML reads `secret: 123` as a number; where text is meant, text it becomes. */
export const text = z
  .union([z.string(), z.number(), z.boolean()])
  .transform((value) => String(value));

/** A value that is never printed. */
export const secret = text.meta({ secret: true });

export const flag = z.union([
  z.boolean(),
  z.enum(['true', 'false']).transform((value) => value === 'true'),
]);

export const count = z.coerce.number().int().min(0);

const units: Record<string, number> = {
  ns: 1e-6,
  us: 1e-3,
  µs: 1e-3,
  ms: 1,
  s: 1e3,
  m: 6e4,
  h: 3.6e6,
};

/** Reads a Go duration (`10s`, `1h30m`, `168h`) as milliseconds; undefined if it is none. */
export function parseDuration(value: string): number | undefined {
  if (value === '0') return 0;
  if (!/^(?:\d+(?:\.\d+)?(?:ns|us|µs|ms|s|m|h))+$/.test(value)) return undefined;
  let total = 0;
  for (const [, amount, unit] of value.matchAll(/(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)/g)) {
    total += Number(amount) * (units[unit ?? ''] ?? 0);
  }
  return total;
}

/** A Go duration; a bare number counts nanoseconds, as Go has it. Becomes milliseconds. */
export const duration = z.union([z.string(), z.number()]).transform((value, ctx) => {
  const ms = typeof value === 'number' ? value / 1e6 : parseDuration(value.trim());
  if (ms !== undefined && ms >= 0) return ms;
  ctx.addIssue({
    code: 'custom',
    message: `"${value}" is not a duration such as 10s, 5m or 1h30m`,
  });
  return z.NEVER;
});

/** One value or a list of them. */
export const textList = z
  .union([text, z.array(text)])
  .transform((value) => (Array.isArray(value) ? value : [value]));

/** The same of values that are never printed. */
export const secretList = z
  .union([text, z.array(text)])
  .transform((value) => (Array.isArray(value) ? value : [value]));

/** Keys of our own choosing or a driver's, whose values are handed on as they are. */
export const anything = z.record(z.string(), z.unknown());
