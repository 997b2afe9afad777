export interface Sample {
  name: string;
  labels: Readonly<Record<string, string>>;
  value: number;
}

/** What a scrape gave. */
export interface Exposition {
  samples: readonly Sample[];
  /** Names that a query may use, histograms' `_bucket`, `_sum` and `_count` among them. */
  names: ReadonlySet<string>;
  /** The value of the one series of this name that has these labels; undefined if there is none. */
  value(name: string, labels?: Readonly<Record<string, string>>): number | undefined;
  /** The sum of all series of this name that have these labels. */
  sum(name: string, labels?: Readonly<Record<string, string>>): number;
}

const sampleLine = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)$/;
const labelPair = /([a-zA-Z_]\w*)="((?:[^"\\]|\\.)*)"(?:,|$)/y;

/**
 * Reads Prometheus' text format 0.0.4 as strictly as Prometheus does.
 * @throws Error for a line that is none, a sample before its TYPE, a metric in two pieces, a series twice
 */
export function parseExposition(text: string): Exposition {
  const samples: Sample[] = [];
  const names = new Set<string>();
  const seen = new Set<string>();
  let family = { name: '', type: '' };
  const types = new Set<string>();
  for (const line of text.split('\n')) {
    if (line === '' || line.startsWith('# HELP ')) continue;
    const declared = /^# TYPE (\S+) (counter|gauge|histogram|summary)$/.exec(line);
    if (declared !== null) {
      family = { name: declared[1] ?? '', type: declared[2] ?? '' };
      if (types.has(family.name)) throw new Error(`${family.name} is in two pieces`);
      types.add(family.name);
      for (const name of namesOf(family)) names.add(name);
      continue;
    }
    const match = sampleLine.exec(line);
    if (match === null) throw new Error(`no sample: ${line}`);
    const [, name = '', pairs = '', value = ''] = match;
    if (!namesOf(family).includes(name)) throw new Error(`${name} stands under ${family.name}`);
    if (seen.has(`${name}{${pairs}}`)) throw new Error(`${name}{${pairs}} comes twice`);
    seen.add(`${name}{${pairs}}`);
    samples.push({ name, labels: parseLabels(pairs), value: parseValue(value, line) });
  }
  const find = (name: string, labels: Readonly<Record<string, string>> = {}) =>
    samples.filter(
      (sample) =>
        sample.name === name &&
        Object.entries(labels).every(([key, value]) => sample.labels[key] === value),
    );
  return {
    samples,
    names,
    value(name, labels) {
      const found = find(name, labels);
      if (found.length > 1) throw new Error(`${name} ${JSON.stringify(labels)}: several series`);
      return found[0]?.value;
    },
    sum: (name, labels) => find(name, labels).reduce((sum, { value }) => sum + value, 0),
  };
}

function namesOf({ name, type }: { name: string; type: string }): string[] {
  if (type === 'histogram') return ['_bucket', '_sum', '_count'].map((end) => name + end);
  return type === 'summary' ? [name, `${name}_sum`, `${name}_count`] : [name];
}

function parseLabels(text: string): Record<string, string> {
  const labels: Record<string, string> = {};
  labelPair.lastIndex = 0;
  while (labelPair.lastIndex < text.length) {
    const match = labelPair.exec(text);
    if (match === null) throw new Error(`no labels: {${text}}`);
    const [, name = '', value = ''] = match;
    if (Object.hasOwn(labels, name)) throw new Error(`the label ${name} comes twice: {${text}}`);
    labels[name] = value.replace(/\\(.)/g, (_, escaped) => (escaped === 'n' ? '\n' : escaped));
  }
  return labels;
}

function parseValue(text: string, line: string): number {
  if (text === '+Inf') return Infinity;
  if (text === '-Inf') return -Infinity;
  const value = Number(text);
  if (Number.isNaN(value) && text !== 'NaN' && text !== 'Nan') throw new Error(`no value: ${line}`);
  return value;
}
