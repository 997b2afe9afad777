import type { Metrics } from '#libs/metrics/metrics.ts';
import type { BudgetState } from './budget.ts';

/** Shows how much of each budget is taken, who waits, and who was refused. */
export function measureBudgets(
  budgets: readonly BudgetState[],
  metrics: Metrics | undefined,
): void {
  if (metrics === undefined) return;
  const gauge = (
    name: `portcullis_budget_${string}`,
    help: string,
    value: (budget: BudgetState) => number,
  ) =>
    metrics.gauge(name, help, ['budget'], (found) => {
      for (const budget of budgets) found.set({ budget: budget.name }, value(budget));
    });
  gauge('portcullis_budget_capacity', 'All there is of a budget', ({ capacity }) => capacity);
  gauge('portcullis_budget_used', 'What of a budget is taken now', ({ used }) => used);
  gauge(
    'portcullis_budget_waiting',
    'Requests that wait for a share now',
    ({ waiting }) => waiting,
  );
  const counted = new Map<BudgetState, number>();
  metrics.counter(
    'portcullis_budget_refused_total',
    'Requests refused for want of a share, by budget',
    ['budget'],
    (counter) => {
      for (const budget of budgets) {
        const more = budget.refused - (counted.get(budget) ?? 0);
        counted.set(budget, budget.refused);
        counter.inc({ budget: budget.name }, more);
      }
    },
  );
}
