import { type Budget, type BudgetOptions, createBudget } from '#libs/limits/budget.ts';

/** A budget that a test can use up: 100 units, and nobody waits long. */
export function createSmallBudget(options: Partial<BudgetOptions> = {}): Budget {
  return createBudget({
    name: 'test',
    capacity: 100,
    maxWait: 20,
    message: 'too much',
    ...options,
  });
}
