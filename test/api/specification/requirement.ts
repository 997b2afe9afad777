import type { RepositoryFixture } from './repository-fixture.ts';

/** How binding the specification is about it (RFC 2119). */
export type Level = 'MUST' | 'SHOULD' | 'MAY';

/** One requirement of the specification, and the cases that show it is met. */
export interface Requirement {
  /** Title of the section it comes from. */
  section: string;
  level: Level;
  /** In our own words. */
  requirement: string;
  cases: readonly Case[];
}

export interface Case {
  /** Of the data set; empty where there is only one. */
  name: string;
  check(fixture: RepositoryFixture): Promise<void>;
}

export interface Named {
  name: string;
}

/** For requirements that need no data. */
export const once: readonly Named[] = [{ name: '' }];

const row =
  (level: Level) =>
  <Data extends Named>(
    section: string,
    requirement: string,
    over: readonly Data[],
    check: (fixture: RepositoryFixture, data: Data) => Promise<void>,
  ): Requirement => ({
    section,
    level,
    requirement,
    cases: over.map((data) => ({
      name: data.name,
      check: (fixture) => check(fixture, data),
    })),
  });

/** A row of the table: section, requirement, data sets and how it is seen. */
export const must = row('MUST');
export const should = row('SHOULD');
export const may = row('MAY');
