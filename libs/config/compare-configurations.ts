import { Secret } from '../values/secret.ts';
import type { Configuration } from './configuration.ts';

/** The keys in which two configurations differ, secrets included: `log.level`; a list counts as a whole. */
export function changedKeys(before: Configuration, now: Configuration): string[] {
  return differences(before, now, '');
}

function differences(before: unknown, now: unknown, path: string): string[] {
  if (!isSection(before) || !isSection(now)) {
    return fingerprint(before) === fingerprint(now) ? [] : [path];
  }
  const keys = new Set([...Object.keys(before), ...Object.keys(now)]);
  return [...keys].flatMap((key) =>
    differences(before[key], now[key], path === '' ? key : `${path}.${key}`),
  );
}

function isSection(value: unknown): value is Record<string, unknown> {
  return (
    typeof value === 'object' &&
    value !== null &&
    !Array.isArray(value) &&
    !(value instanceof Secret)
  );
}

function fingerprint(value: unknown): string {
  return JSON.stringify(reveal(value)) ?? '';
}

function reveal(value: unknown): unknown {
  if (value instanceof Secret) return { secret: value.reveal() };
  if (Array.isArray(value)) return value.map(reveal);
  if (!isSection(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, reveal(item)]));
}
