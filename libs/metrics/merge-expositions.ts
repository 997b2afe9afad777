/** The type of an exposition: Prometheus' text format. */
export const expositionType = 'text/plain; version=0.0.4; charset=utf-8';

/**
 * Makes one exposition of several, so that each metric stands in one piece under one HELP and TYPE. The
 * series must differ in a label, as those of our processes do.
 * @param texts in Prometheus' text format, as `Metrics.expose` writes it
 */
export function mergeExpositions(texts: readonly string[]): string {
  const families = new Map<string, { head: string[]; samples: string[] }>();
  for (const text of texts) {
    let family: { head: string[]; samples: string[] } = { head: [], samples: [] };
    let isNew = false;
    for (const line of text.split('\n')) {
      const name = /^# HELP (\S+)/.exec(line)?.[1];
      if (name !== undefined) {
        const known = families.get(name);
        isNew = known === undefined;
        family = known ?? { head: [], samples: [] };
        families.set(name, family);
      }
      if (line === '') continue;
      if (!line.startsWith('#')) family.samples.push(line);
      else if (isNew) family.head.push(line);
    }
  }
  return [...families.values()]
    .map(({ head, samples }) => `${[...head, ...samples].join('\n')}\n`)
    .join('\n');
}
