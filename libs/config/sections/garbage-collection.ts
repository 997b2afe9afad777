import { z } from 'zod';
import { duration, flag } from '../../values/schema.ts';

/** `portcullis.gc`; see docs/garbage-collection.md. */
export const garbageCollectionSchema = z.object({
  interval: duration('1s', '8760h', { orZero: true })
    .optional()
    .describe(
      'Time between two collections of garbage; without it, and with 0s, only the command collects.',
    ),
  delay: duration('0s', '876000h')
    .default(3_600_000)
    .describe('Nothing younger than this is garbage.'),
  grace: duration('0s', '876000h')
    .default(86_400_000)
    .describe('How long the trash keeps what was collected.'),
  untagged: flag
    .default(false)
    .describe('Whether manifests are collected that no tag, index or subject keeps.'),
});

/** Collection of garbage; times in ms. */
export interface GarbageCollectionSettings {
  /** Undefined: only the command collects. */
  interval: number | undefined;
  delay: number;
  grace: number;
  untagged: boolean;
}

export function garbageCollectionSettings(
  gc: z.infer<typeof garbageCollectionSchema>,
): GarbageCollectionSettings {
  return { ...gc, interval: gc.interval || undefined };
}

/** Milliseconds that the trash must keep things where collections run by themselves: longer than the end of a push takes. */
const shortestGrace = 10 * 60_000;

/** What of it is rarely meant, a sentence each. */
export function warnOfGarbageCollection({ interval, grace }: GarbageCollectionSettings): string[] {
  if (interval === undefined || grace >= shortestGrace) return [];
  return [
    'portcullis.gc.grace: with portcullis.gc.interval garbage is collected while clients push; with less than 10m for the trash a slow push can lose layers',
  ];
}
