import type { Access } from '#libs/access/scope.ts';
import type { Caller } from './caller.ts';

/** Who decided about an action: a rule by its place, or what stands in for rules. */
export type DecidedBy = number | 'no rule' | 'robot' | 'every user';

/** What becomes of each action that was asked for. */
export interface Decision {
  granted: string[];
  /** For each action asked for, granted or not. */
  by: ReadonlyMap<string, DecidedBy>;
}

/** How much of the catalog somebody sees. */
export interface CatalogDecision {
  sees: 'all names' | 'what it may pull' | 'nothing';
  /** Who decided about `*` and `pull`, the actions of registry:catalog. */
  by: ReadonlyMap<string, DecidedBy>;
}

/** What `acl explain` shows of one rule. */
export interface RuleReport {
  index: number;
  effect: 'allow' | 'deny';
  actions: readonly string[];
  comment: string | undefined;
  /** Undefined if the rule is about the request. */
  mismatch: string | undefined;
}

/** Who may do what. */
export interface Policy {
  /** Changes whenever an answer may. */
  readonly version: string;
  /** The labels that rules look at. */
  readonly labelKeys: ReadonlySet<string>;
  /**
   * What a caller may see of the catalog. All of it is shown only where a rule says so that names the catalog, or is
   * about everything and stands behind none that may refuse somebody a pull; who is logged in may list what it may pull.
   */
  decideCatalog(caller: Caller, now?: Date): CatalogDecision;
  /**
   * What of the requested access to a repository is granted to a caller. Asking for too much is no error, and what is granted never
   * exceeds what was asked.
   */
  decide(caller: Caller, wanted: Access, now?: Date): Decision;
  /** How each rule stands to a request, in their order. */
  report(caller: Caller, wanted: Access, now?: Date): RuleReport[];
}
