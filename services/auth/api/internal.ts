import type { Middleware } from 'koa';
import type { KeySet } from '#libs/auth/key-set.ts';
import { type PullFilterAnswer, pullFilterRequestSchema } from '#libs/auth/pull-filter.ts';
import type { RequestState } from '#libs/http/app.ts';
import { readBody } from '#libs/http/body.ts';
import { whileClientWaits } from '#libs/http/client-gone.ts';
import { eachInTurn } from '#libs/limits/in-turn.ts';
import { partiesOf } from '#libs/limits/parties.ts';
import { RegistryError } from '#libs/oci/errors.ts';
import { callerOf } from '#libs/policy/caller.ts';
import type { Policy } from '#libs/policy/policy.ts';
import { robotPrefix } from '#libs/values/account.ts';
import type { KeyRing } from '../keys/key-ring.ts';
import type { Revocations } from '../revocations.ts';
import type { RobotStore } from '../robots/robot-store.ts';

/** GET /auth/jwks: the public keys (RFC 7517). */
export function getJwks(keys: KeyRing): Middleware<RequestState> {
  return async (ctx) => {
    ctx.set('Cache-Control', 'max-age=60');
    ctx.body = { keys: keys.published().filter(({ uploadsOnly }) => uploadsOnly !== true) };
    ctx.type = 'application/jwk-set+json';
  };
}

/** The keys and revocations that a verifier needs; for our own processes only. */
export function getKeySet(
  keys: KeyRing,
  revocations: Revocations,
  policy: () => Policy,
): Middleware<RequestState> {
  return async (ctx) => {
    ctx.body = {
      keys: keys.published(),
      revoked: { ...revocations.all() },
      policyVersion: policy().version,
    } satisfies KeySet;
  };
}

/**
 * Which of these repositories the subject may pull, as a row of 0 and 1.
 * @param robots know what a robot may do, which its tokens do not carry
 */
export function postFilter(
  policy: () => Policy,
  service: string,
  robots: Pick<RobotStore, 'find'>,
): Middleware<RequestState> {
  return async (ctx) => {
    const parsed = pullFilterRequestSchema.safeParse(
      JSON.parse(
        (await readBody(ctx.req, 1024 * 1024, { signal: whileClientWaits(ctx.res) })).toString(
          'utf8',
        ),
      ),
    );
    if (!parsed.success) throw new RegistryError('REQUEST_INVALID');
    const { subject, details = {}, client, names } = parsed.data;
    // One that is gone may do nothing, and rules that allow are not about robots.
    const access = subject.startsWith(robotPrefix)
      ? (robots.find(subject)?.access ?? [])
      : undefined;
    const caller = callerOf(subject, { ...details, access, client, service });
    const rules = policy();
    const mayPull = (name: string) => {
      const wanted = { type: 'repository', name, actions: ['pull'] };
      return rules.decide(caller, wanted).granted.length > 0 ? '1' : '0';
    };
    const signal = whileClientWaits(ctx.res);
    const [party] = partiesOf(client).networks;
    const allowed = await eachInTurn(names, mayPull, { party, signal });
    ctx.body = { allowed: allowed.join('') } satisfies PullFilterAnswer;
  };
}
