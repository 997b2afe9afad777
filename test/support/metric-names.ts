import { z } from 'zod';

/** Names that are Prometheus' own. */
export const ofOthers: ReadonlySet<string> = new Set(['up']);

const words = new Set(['and', 'or', 'unless', 'bool', 'offset', 'inf', 'nan']);

/** The metrics that a PromQL expression is about. */
export function namesInExpression(expression: string): string[] {
  const bare = expression
    .replace(/"(?:[^"\\]|\\.)*"/g, '""')
    .replace(/\{[^}]*\}/g, ' ')
    .replace(/\[[^\]]*\]/g, ' ')
    .replace(/\b(?:by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)/g, ' ');
  // What a parenthesis follows is a function, what a digit precedes a duration.
  const found = bare.matchAll(/(?<![\w:.$])[a-zA-Z_:][\w:]*(?!\w)(?!\s*\()/g);
  return [...found].map(([name]) => name).filter((name) => !words.has(name.toLowerCase()));
}

const variable = z.object({ name: z.string(), type: z.string(), query: z.unknown() });

const target = z.object({ expr: z.string().min(1), refId: z.string() });
const place = z.object({ x: z.number(), y: z.number(), w: z.number(), h: z.number() });
const source = z.object({ type: z.literal('prometheus'), uid: z.literal('${datasource}') });

/** What Grafana needs of a dashboard, as far as we use it. */
export const dashboardSchema = z.object({
  title: z.string(),
  uid: z.string(),
  schemaVersion: z.number(),
  templating: z.object({ list: z.array(variable) }),
  panels: z.array(
    z.discriminatedUnion('type', [
      z.object({ type: z.literal('row'), id: z.number(), title: z.string(), gridPos: place }),
      z.object({
        type: z.enum(['timeseries', 'stat']),
        id: z.number(),
        title: z.string(),
        description: z.string(),
        gridPos: place,
        datasource: source,
        fieldConfig: z.object({ defaults: z.object({ unit: z.string() }) }),
        targets: z.array(target).min(1),
      }),
    ]),
  ),
});

/** What Prometheus needs of a file of rules, as far as we use it. */
export const rulesSchema = z.strictObject({
  groups: z.array(
    z.strictObject({
      name: z.string(),
      rules: z.array(
        z.strictObject({
          alert: z.string().regex(/^Portcullis\w+$/),
          expr: z.string().min(1),
          for: z.string().regex(/^\d+[smh]$/),
          labels: z.strictObject({ severity: z.enum(['critical', 'warning']) }),
          annotations: z.strictObject({ summary: z.string(), description: z.string() }),
        }),
      ),
    }),
  ),
});

/** @throws ZodError for what is no dashboard */
export function namesInDashboard(dashboard: unknown): string[] {
  const { panels, templating } = dashboardSchema.parse(dashboard);
  const queries = templating.list
    .filter(({ type }) => type === 'query')
    // label_values(metric, label): the first is the one.
    .map(({ query }) => /^label_values\(([^,{]+)/.exec(String(query))?.[1] ?? String(query));
  const expressions = panels.flatMap((panel) => (panel.type === 'row' ? [] : panel.targets));
  return [...queries, ...expressions.flatMap(({ expr }) => namesInExpression(expr))];
}

/** @throws ZodError for what is no file of rules */
export function namesInRules(rules: unknown): string[] {
  return rulesSchema
    .parse(rules)
    .groups.flatMap(({ rules }) => rules)
    .flatMap(({ expr }) => namesInExpression(expr));
}
