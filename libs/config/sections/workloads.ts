import { z } from 'zod';
import { compilePattern } from '#libs/policy/pattern.ts';
import { notEmpty, text } from '../../values/schema.ts';
import { keyLocation, resolveKeySet } from './key-location.ts';

/** An OIDC issuer whose tokens log in. */
const workloadSchema = z.strictObject({
  name: z
    .string()
    .regex(/^[a-z0-9][a-z0-9-]{0,30}$/, 'must be small letters, digits and -')
    .describe('Stands before the subject in the account, such as gitlab:project_path:….'),
  issuer: keyLocation.describe('URL of the OIDC issuer.'),
  audience: text.describe('Audience that its tokens must have.'),
  jwks: keyLocation
    .optional()
    .describe('File or URL of its keys; without it they are discovered at the issuer.'),
  claims: notEmpty(
    z
      .record(z.string(), text)
      .refine((claims) => Object.keys(claims).length > 0, {
        message:
          'is empty; leave it out if every token of the issuer for this audience is to log in',
      })
      .optional(),
    'without it every token of the issuer for this audience logs in',
  ).describe('Claims that a token must have, each with a pattern.'),
});

/** What a workload may have. */
export const workloadKeys: readonly string[] = Object.keys(workloadSchema.shape);

/** CI jobs and pods that log in with a token of their OIDC issuer. */
export const workloadsSchema = z
  .array(workloadSchema)
  .refine((list) => new Set(list.map(({ name }) => name)).size === list.length, {
    message: 'two have the same name',
  })
  .default([]);

/** An OIDC issuer whose tokens log in. */
export interface WorkloadSettings {
  name: string;
  issuer: string;
  audience: string;
  /** Path or address; undefined: discovered at the issuer. */
  jwks: string | undefined;
  /** Claims that a token must have, each with a pattern. */
  claims: Record<string, string>;
}

export function workloadSettings(workloads: z.infer<typeof workloadsSchema>): WorkloadSettings[] {
  return workloads.map(({ jwks, claims = {}, ...rest }) => ({
    ...rest,
    claims,
    jwks: resolveKeySet(jwks),
  }));
}

/** What of them cannot work, or lets in more than anybody means, a sentence each. */
export function checkWorkloads(
  workloads: readonly WorkloadSettings[],
  { hasRules }: { hasRules: boolean },
): string[] {
  const [first] = workloads;
  if (first !== undefined && !hasRules) {
    return [
      `portcullis.workloads: ${first.name}: without portcullis.acl every job and pod that has such a token may do everything; write what they may do in portcullis.acl`,
    ];
  }
  return workloads.flatMap(({ name, issuer, jwks, claims }) => {
    const key = `portcullis.workloads: ${name}`;
    const problems: string[] = [];
    if (jwks === undefined && !/^https?:\/\/[^/]/i.test(issuer)) {
      problems.push(
        `${key}: the issuer "${issuer}" is not a URL such as https://gitlab.example.com; its keys cannot be found without jwks`,
      );
    }
    for (const [claim, pattern] of Object.entries(claims)) {
      try {
        compilePattern(pattern, { inNames: false });
      } catch (error) {
        problems.push(`${key}: ${claim}: ${(error as Error).message}`);
      }
    }
    return problems;
  });
}

/** Issuers of which anybody can have tokens, for any audience. */
const publicIssuers: ReadonlySet<string> = new Set([
  'https://gitlab.com',
  'https://token.actions.githubusercontent.com',
  'https://agent.buildkite.com',
  'https://accounts.google.com',
  'https://app.terraform.io',
]);

/** Claims that say whose a job is. */
const ownerClaims =
  /^(?:sub|email|hd|(?:namespace|project|root_group|user)_(?:id|path|login|email)|repository(?:_owner)?(?:_id)?|enterprise(?:_id)?|organization_(?:id|slug)|terraform_\w+_(?:id|name))$/;

/** Whether claims say whose a job is. */
const nameAnOwner = (claims: Record<string, string>) =>
  Object.entries(claims).some(
    ([claim, pattern]) => ownerClaims.test(claim) && !/^\*+$|^\/\.[*+]\/$/.test(pattern),
  );

/** What of them is rarely meant, a sentence each. */
export function remarksOnWorkloads(workloads: readonly WorkloadSettings[]): string[] {
  return workloads
    .filter(
      ({ issuer, claims }) =>
        publicIssuers.has(issuer.toLowerCase().replace(/\/$/, '')) && !nameAnOwner(claims),
    )
    .map(
      ({ name, issuer }) =>
        `portcullis.workloads: ${name}: anybody's jobs have tokens of ${issuer}, for any audience, and rules for all accounts mean them as well; name whose jobs log in, by a claim such as namespace_path (GitLab) or repository_owner (GitHub)`,
    );
}
