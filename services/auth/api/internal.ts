import type { Middleware } from 'koa';
import { z } from 'zod';
import { callerDetailsSchema } from '#libs/auth/claims.ts';
import type { Trust } from '#libs/auth/trust.ts';
import type { RequestState } from '#libs/http/app.ts';
import { readBody } from '#libs/http/body.ts';
import { RegistryError } from '#libs/oci/errors.ts';
import type { KeyRing } from '../keys/key-ring.ts';
import { callerOf } from '../policy/caller.ts';
import type { Policy } from '../policy/policy.ts';
import type { Revocations } from '../revocations.ts';

/** GET /auth/jwks: the public keys (RFC 7517). */
export function getJwks(keys: KeyRing): Middleware<RequestState> {
  return async (ctx) => {
    ctx.set('Cache-Control', 'max-age=60');
    ctx.body = { keys: keys.published().filter(({ uploadsOnly }) => uploadsOnly !== true) };
    ctx.type = 'application/jwk-set+json';
  };
}

/** GET /internal/trust: all that a verifier needs; for our own processes only. */
export function getTrust(
  keys: KeyRing,
  revocations: Revocations,
  policy: () => Policy,
): Middleware<RequestState> {
  return async (ctx) => {
    ctx.body = {
      keys: keys.published(),
      revoked: { ...revocations.all() },
      policyVersion: policy().version,
    } satisfies Trust;
  };
}

const filterSchema = z.object({
  subject: z.string(),
  /** What its token says of it besides. */
  details: callerDetailsSchema.optional(),
  client: z.string().default(''),
  names: z.array(z.string()).max(1000),
});

/** POST /internal/filter: which of these repositories the subject may pull, as a row of 0 and 1. */
export function postFilter(policy: () => Policy, service: string): Middleware<RequestState> {
  return async (ctx) => {
    const parsed = filterSchema.safeParse(
      JSON.parse((await readBody(ctx.req, 1024 * 1024)).toString('utf8')),
    );
    if (!parsed.success) throw new RegistryError('REQUEST_INVALID');
    const { subject, details = {}, client, names } = parsed.data;
    const caller = callerOf(subject, { ...details, client, service });
    const rules = policy();
    const allowed = names.map((name) => {
      const wanted = { type: 'repository', name, actions: ['pull'] };
      return rules.decide(caller, wanted).granted.length > 0 ? '1' : '0';
    });
    ctx.body = { allowed: allowed.join('') };
  };
}
