/**
 * The size of an LRU cache that has so many entries at most. It takes memory for those that there are, where the `max` of the
 * library has all of it made at once.
 */
export function atMost(entries: number): { maxSize: number; sizeCalculation: () => number } {
  return { maxSize: entries, sizeCalculation: () => 1 };
}
