/** What we say about a setting that is valid but not ours to fulfil yet. */
export interface Diagnostic {
  /** `stop` where ignoring it would change who may do what, where bytes go or what is answered. */
  level: 'stop' | 'warn' | 'note';
  path: string;
  message: string;
}

/** A setting of distribution that we read but do not act on. */
export type SupportRow<Section> = readonly [
  /** From the top of the configuration. */
  path: string,
  level: Diagnostic['level'],
  why: string,
  /** What was written there; undefined, null and false count as nothing. */
  found: (section: Section) => unknown,
];
