import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { parseDocument } from 'yaml';
import { declaredNames } from './support/declared-metrics.ts';
import {
  dashboardSchema,
  namesInDashboard,
  namesInExpression,
  namesInRules,
  ofOthers,
  rulesSchema,
} from './support/metric-names.ts';

const read = (path: string) => readFileSync(new URL(`../${path}`, import.meta.url), 'utf8');
const dashboard: unknown = JSON.parse(read('compose/observability/dashboard.json'));
const rulesDocument = parseDocument(read('compose/observability/alerts.yml'));
const rules: unknown = rulesDocument.toJS();

test('metrics are found in an expression, and nothing else', () => {
  for (const [expression, ...names] of [
    ['up == 0', 'up'],
    [
      'sum by (job, le) (rate(a_total{b="c_total", d=~"x(y)"}[5m])) / e_total > 0.5',
      'a_total',
      'e_total',
    ],
    [
      'histogram_quantile(0.95, sum(rate(a_bucket[$__rate_interval])) without (instance))',
      'a_bucket',
    ],
    ['a:b and on (job) c unless d offset 5m', 'a:b', 'c', 'd'],
    ['time() - a_seconds > 3e2 or vector(1)', 'a_seconds'],
  ] as const) {
    assert.deepEqual(namesInExpression(expression), names);
  }
});

describe('the dashboard and the alert rules', () => {
  test('name only what our processes measure', async () => {
    const names = await declaredNames();
    const unknown = [...namesInDashboard(dashboard), ...namesInRules(rules)].filter(
      (name) => !names.has(name) && !ofOthers.has(name),
    );
    assert.deepEqual(unknown, []);
  });

  test('the dashboard shows every metric of ours', async () => {
    const shown = new Set(namesInDashboard(dashboard));
    const families = [...(await declaredNames())].filter(
      (name) => name.startsWith('portcullis_') && !/_(?:sum|count)$/.test(name),
    );
    // What is counted may be seen by its count as well.
    const missing = families.filter(
      (name) => !shown.has(name) && !shown.has(name.replace(/_bucket$/, '_count')),
    );
    assert.deepEqual(missing, []);
  });

  test('the dashboard can be imported: variables, ids of their own, no overlap', () => {
    const { panels, templating } = dashboardSchema.parse(dashboard);
    assert.deepEqual(
      templating.list.map(({ name }) => name),
      ['datasource', 'job', 'instance'],
    );
    const ids = panels.map(({ id }) => id);
    assert.equal(new Set(ids).size, ids.length);
    const taken = new Set<string>();
    for (const { gridPos: at, title } of panels) {
      assert.ok(at.x + at.w <= 24, title);
      for (let x = at.x; x < at.x + at.w; x += 1) {
        for (let y = at.y; y < at.y + at.h; y += 1) {
          assert.ok(!taken.has(`${x} ${y}`), `${title} lies on another panel`);
          taken.add(`${x} ${y}`);
        }
      }
    }
    for (const panel of panels) {
      if (panel.type === 'row') continue;
      for (const { expr } of panel.targets) {
        assert.match(expr, /job=~"\$job", instance=~"\$instance"/, panel.title);
      }
    }
  });

  test('every rule has a name of its own', () => {
    assert.deepEqual(rulesDocument.errors, []);
    const names = alertNames();
    assert.equal(new Set(names).size, names.length);
  });
});

function alertNames(): string[] {
  return rulesSchema.parse(rules).groups.flatMap(({ rules }) => rules.map(({ alert }) => alert));
}

test('docs/observability.md lists every metric and every alert, and no others', async () => {
  const text = read('docs/observability.md');
  const firstColumn = (pattern: RegExp) =>
    [...text.matchAll(pattern)].map(([, name]) => name).sort();
  const families = [...(await declaredNames())]
    .filter((name) => name.startsWith('portcullis_') && !/_seconds_(?:sum|count)$/.test(name))
    .map((name) => name.replace(/_seconds_bucket$/, '_seconds'));
  const documented = firstColumn(/^\| `(portcullis_\w+)` \|/gm);
  assert.deepEqual(
    documented.filter((name) => name !== undefined && !ofOthers.has(name)),
    families.sort(),
  );
  assert.deepEqual(firstColumn(/^\| `(Portcullis\w+)` \|/gm), alertNames().sort());
});
