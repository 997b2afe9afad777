import { createHash, randomBytes } from 'node:crypto';
import { stringify } from 'yaml';
import { z } from 'zod';
import { describeInvalidAction } from '#libs/access/actions.ts';
import { type Access, formatScope, parseScopes } from '#libs/access/scope.ts';
import { parseYaml } from '#libs/config/parse-yaml.ts';
import { compilePattern, describeImpossibleName } from '#libs/policy/pattern.ts';
import { describeInvalid } from '#libs/values/describe-invalid.ts';

/** An account for a machine: it may do what it was made for, until it expires. */
export interface Robot {
  name: string;
  /** Of its secret. */
  hash: string;
  access: Access[];
  created: Date;
  /** Undefined: never. */
  expires: Date | undefined;
  comment: string | undefined;
}

const fileSchema = z.strictObject({
  robots: z
    .record(
      z.string(),
      z.strictObject({
        hash: z.string().regex(/^sha256:[\w-]{43}$/, 'must be sha256: and 43 characters'),
        access: z.array(z.string()),
        created: z.coerce.date(),
        expires: z.coerce.date().optional(),
        comment: z.string().optional(),
      }),
    )
    .default({}),
});

/**
 * Reads `robots.yml`.
 * @param text undefined if there is no such file
 * @param path for errors
 * @throws Error naming what cannot be used
 */
export function parseRobots(text: string | undefined, path: string): Map<string, Robot> {
  try {
    const { robots } = fileSchema.parse((text === undefined ? {} : parseYaml(text)) ?? {});
    const entries = Object.entries(robots).map(([name, { access, ...rest }]): [string, Robot] => {
      assertRobotName(name);
      const { expires, comment } = rest;
      return [name, { ...rest, expires, comment, name, access: parseRobotAccess(access) }];
    });
    return new Map(entries);
  } catch (error) {
    throw new Error(`${path} cannot be used: ${describeInvalid(error)}`, { cause: error });
  }
}

export function formatRobots(robots: ReadonlyMap<string, Robot>): string {
  const entries = [...robots.values()].map(({ name, hash, access, created, expires, comment }) => [
    name,
    {
      hash,
      access: access.map(formatScope),
      created: created.toISOString(),
      ...(expires === undefined ? {} : { expires: expires.toISOString() }),
      ...(comment === undefined ? {} : { comment }),
    },
  ]);
  return stringify({ robots: Object.fromEntries(entries) });
}

/** @throws Error with one clear sentence */
export function assertRobotName(name: string): void {
  if (/^[a-z0-9][a-z0-9._-]{0,62}$/.test(name)) return;
  throw new Error(
    `"${name}" is not a robot name: use at most 63 lower-case letters, digits and . _ -, beginning with a letter or digit`,
  );
}

/**
 * Reads scopes as robots have them: `repository:team/*:pull,push`, `registry:catalog:*`.
 * @throws Error naming one that means nothing
 */
export function parseRobotAccess(scopes: readonly string[]): Access[] {
  return scopes.map((scope) => {
    const [access, ...more] = parseScopes([scope]);
    const usable =
      access !== undefined &&
      more.length === 0 &&
      formatScope(access) === scope &&
      access.actions.length > 0 &&
      (access.type === 'repository'
        ? access.actions.every((action) => describeInvalidAction(action) === undefined)
        : scope === 'registry:catalog:*');
    if (!usable) {
      throw new Error(
        `"${scope}" is not a scope; write repository:NAME:ACTIONS with pull, push, delete or *, or registry:catalog:*`,
      );
    }
    compilePattern(access.name, { inNames: true });
    return access;
  });
}

/**
 * Judges access that is about to be given, where its pattern is of plain characters, `*` and `?`.
 * @throws Error naming what no repository can fit
 */
export function assertFitsSomething({ type, name }: Access): void {
  const why = type === 'repository' ? describeImpossibleName(name) : undefined;
  if (why !== undefined) throw new Error(why);
}

/** A new secret, and the form in which it is kept. It is random, so it needs no slow hash. */
export function createRobotSecret(): { secret: string; hash: string } {
  const secret = `prt_${randomBytes(32).toString('base64url')}`;
  return { secret, hash: hashSecret(secret) };
}

export function hashSecret(secret: string): string {
  return `sha256:${createHash('sha256').update(secret).digest('base64url')}`;
}
