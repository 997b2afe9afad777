/** What was measured of one load: of each contender the rounds. */
export interface Measured {
  load: string;
  /** What the figures are: seconds a GiB, requests a second. */
  unit: string;
  /** Whether less is better. */
  less: boolean;
  /** Which contender the others are compared with. */
  against: string;
  rounds: ReadonlyMap<string, readonly number[]>;
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const [low = Number.NaN, high = low] =
    sorted.length % 2 === 1 ? [sorted[middle]] : [sorted[middle - 1], sorted[middle]];
  return (low + high) / 2;
}

const shown = (value: number) =>
  value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2);

/** A row for each contender: median, spread, and the ratio to the one that it is compared with. */
export function formatTable(measured: readonly Measured[]): string {
  const rows = [
    '| load | server | median | from … to | ratio |',
    '| --- | --- | --- | --- | --- |',
  ];
  for (const { load, unit, against, rounds } of measured) {
    const reference = median(rounds.get(against) ?? []);
    for (const [name, values] of rounds) {
      const spread = `${shown(Math.min(...values))} … ${shown(Math.max(...values))}`;
      const ratio =
        name === against || Number.isNaN(reference) ? '' : shown(median(values) / reference);
      rows.push(`| ${load}, ${unit} | ${name} | ${shown(median(values))} | ${spread} | ${ratio} |`);
    }
  }
  return `${rows.join('\n')}\n`;
}

const bar = { height: 16, gap: 4, width: 360, left: 300 };

/** The same as bars, each load in its own measure. */
export function drawBars(measured: readonly Measured[]): string {
  const parts: string[] = [];
  let y = 24;
  for (const { load, unit, less, rounds } of measured) {
    const most = Math.max(...[...rounds.values()].map(median));
    parts.push(text(8, y, `${load}, ${unit} (${less ? 'less' : 'more'} is better)`, 'bold'));
    y += 10;
    for (const [name, values] of rounds) {
      const value = median(values);
      const width = Math.max(1, (value / most) * bar.width);
      const fill = name.startsWith('portcullis') ? '#2563eb' : '#9ca3af';
      parts.push(text(16, y + 12, name));
      parts.push(
        `<rect x="${bar.left}" y="${y}" width="${width.toFixed(1)}" height="${bar.height}" fill="${fill}"/>`,
      );
      parts.push(text(bar.left + width + 6, y + 12, shown(value)));
      y += bar.height + bar.gap;
    }
    y += 26;
  }
  const style = 'font-family="sans-serif" font-size="12"';
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 760 ${y}" ${style}>
<rect width="760" height="${y}" fill="#ffffff"/>
${parts.join('\n')}
</svg>
`;
}

function text(x: number, y: number, value: string, weight = 'normal'): string {
  const escaped = value.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
  return `<text x="${x.toFixed(1)}" y="${y}" font-weight="${weight}" fill="#111827">${escaped}</text>`;
}
