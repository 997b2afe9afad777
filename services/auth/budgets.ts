import { type Budget, createBudget } from '#libs/limits/budget.ts';

/** Bytes of forms that are kept while the rest of them is on its way: those of 256 requests with the largest there may be. */
const capacity = 16 * 1024 * 1024;
/** Milliseconds that a request waits for its share before it is refused. */
const maxWait = 10_000;

/** What a token service shares out among the networks its clients come from. */
export interface AuthBudgets {
  /** Bytes of the forms of token requests. */
  forms: Budget;
}

export function createAuthBudgets(): AuthBudgets {
  const message = 'too many token requests are on their way';
  return { forms: createBudget({ name: 'forms', capacity, maxWait, message }) };
}
