import { Secret } from '../values/secret.ts';
import type { Configuration } from './schema/configuration.ts';

/** The sections in which two configurations differ, secrets included. */
export function changedSections(before: Configuration, now: Configuration): string[] {
  const keys = new Set([...Object.keys(before), ...Object.keys(now)]) as Set<keyof Configuration>;
  return [...keys].filter((key) => fingerprint(before[key]) !== fingerprint(now[key]));
}

function fingerprint(value: unknown): string {
  return JSON.stringify(reveal(value)) ?? '';
}

function reveal(value: unknown): unknown {
  if (value instanceof Secret) return { secret: value.reveal() };
  if (Array.isArray(value)) return value.map(reveal);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, reveal(item)]));
}
