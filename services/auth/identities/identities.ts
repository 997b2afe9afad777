import { createHmac, randomBytes } from 'node:crypto';
import type { Access } from '#libs/access/scope.ts';
import type { CallerDetails } from '#libs/auth/claims.ts';
import { maxAccountLength, robotPrefix } from '#libs/values/account.ts';
import { networksOf } from '#libs/values/client-networks.ts';
import type { Admission, LoginLimits } from '../limits/login-limits.ts';
import type { Revocations } from '../revocations.ts';
import type { RobotStore } from '../robots/robot-store.ts';
import type { SecretHistory } from '../users/secret-history.ts';
import type { UserStore } from '../users/user-store.ts';
import type { Workloads } from '../workloads/workloads.ts';
import type { IdentityTokens } from './identity-tokens.ts';
import { createSharedAttempts } from './shared-attempts.ts';

/** Somebody who proved who they are. */
export interface Identity {
  account: string;
  /** What a robot may do; undefined for all others. */
  access?: readonly Access[] | undefined;
  /** What rules need to know besides, also later. */
  details: CallerDetails | undefined;
  /** How its secret is kept, which identity tokens are bound to; undefined where there can be none. */
  secretHash: string | undefined;
  /** When the proof is no proof any more, in milliseconds since the epoch; tokens end by then. */
  until?: number | undefined;
}

export type LoginResult = Identity | { refused: string };

/** Who asks, and until when. */
export interface LoginContext {
  /** Its address. */
  client: string;
  /** Aborted when it has left. */
  signal?: AbortSignal | undefined;
}

/**
 * All ways to prove who one is. Each is limited before anything is looked at that could tell right from wrong.
 * All throw RegistryError TOOMANYREQUESTS for who is limited, whether it would have been right or not.
 */
export interface Identities {
  /** By name and password, which may be a robot's secret or a workload's token. */
  login(account: string, password: string, context: LoginContext): Promise<LoginResult>;
  /** By an identity token. */
  byIdentityToken(token: string, service: string, context: LoginContext): Promise<LoginResult>;
  /** By the token of an OIDC issuer. */
  byWorkloadToken(token: string, context: LoginContext): Promise<LoginResult>;
}

export interface IdentitiesOptions {
  users: UserStore;
  robots: RobotStore;
  workloads: Workloads;
  limits: LoginLimits;
  identityTokens: IdentityTokens;
  history: Pick<SecretHistory, 'fingerprint'>;
  revocations: Revocations;
  /** The labels that rules look at; others are not carried along. */
  labelKeys: () => ReadonlySet<string>;
  /** Called for each login that is refused. */
  onRefused?: () => void;
}

const wrong = { refused: 'incorrect username or password' };

export function createIdentities(options: IdentitiesOptions): Identities {
  const { users, robots, workloads, limits, identityTokens, history, revocations } = options;
  const { labelKeys, onRefused = () => {} } = options;
  const attempts = createSharedAttempts<LoginResult>();
  const attemptKey = randomBytes(32);

  /** The account as it is now, if it may still log in. */
  function find(account: string): Identity | undefined {
    if (account.startsWith(robotPrefix)) {
      const robot = robots.find(account);
      if (robot === undefined) return undefined;
      const { access, hash: secretHash, expires } = robot;
      return { account, access, details: undefined, secretHash, until: expires?.getTime() };
    }
    const hash = users.accounts().get(account);
    if (hash === undefined) return undefined;
    const labels = users.labelsOf(account);
    const details = labels === undefined ? undefined : detailsOf(labels);
    return { account, details, secretHash: hash };
  }

  /** Of the labels, those that rules look at. */
  function detailsOf(labels: Readonly<Record<string, string[]>>): CallerDetails {
    const used = Object.entries(labels).filter(([key]) => labelKeys().has(key));
    return { labels: Object.fromEntries(used) };
  }

  /** Has somebody admitted, looks, and counts what came of it. */
  async function admitted(
    attempt: { account: string; guessable: boolean } & LoginContext,
    look: (admission: Admission) => Promise<{ result: LoginResult; counts: boolean }>,
  ): Promise<LoginResult> {
    const admission = await limits.admit(attempt);
    let looked: { result: LoginResult; counts: boolean };
    try {
      looked = await look(admission);
    } catch (error) {
      await admission.giveBack();
      throw error;
    }
    const { result, counts } = looked;
    if ('refused' in result) {
      await (counts ? admission.wrong() : admission.giveBack());
      return result;
    }
    const notBefore = revocations.notBefore(result.account);
    await admission.right();
    // Counting may take as long as Redis does. What was revoked meanwhile must not be issued anew.
    return revocations.notBefore(result.account) === notBefore ? result : wrong;
  }

  async function byPassword(
    account: string,
    password: string,
    context: LoginContext,
  ): Promise<LoginResult> {
    const [network] = networksOf(context.client);
    // The very same at the same time is one attempt, as of a build's many jobs that start together.
    const key = createHmac('sha256', attemptKey)
      .update(JSON.stringify([account, password, network]))
      .digest('base64');
    return await attempts.run(key, context.signal, async (signal) => {
      const attempt = { account, guessable: true, client: context.client, signal };
      return await admitted(attempt, async ({ lane }) => {
        const before = users.accounts().get(account);
        const verdict = await users.verify({ account, password, network, lane, signal });
        if (!verdict.right || before === undefined) {
          return { result: wrong, counts: verdict.compared };
        }
        // The password may have been changed meanwhile: then it was the old one that was right.
        const identity = find(account);
        const form = identity?.secretHash ?? '';
        const [then, now] = [before, form].map((one) =>
          history.fingerprint('account', account, one),
        );
        return { result: identity !== undefined && then === now ? identity : wrong, counts: true };
      });
    });
  }

  async function byRobotSecret(account: string, secret: string, context: LoginContext) {
    return await admitted({ account, guessable: false, ...context }, async () => {
      const robot = robots.verify(account, secret);
      return { result: (robot && find(account)) ?? wrong, counts: true };
    });
  }

  async function byWorkloadToken(token: string, context: LoginContext): Promise<LoginResult> {
    // Jobs of one issuer come and go; where some of them were right lately, others are known.
    const account = workloads.claimed(token) ?? '';
    return await admitted({ account, guessable: false, ...context }, async () => {
      const result = await workloads.verify(token);
      return { result: 'refused' in result ? result : identityOf(result), counts: true };
    });
  }

  function identityOf({
    account,
    labels,
    until,
  }: { account: string } & WorkloadFacts): LoginResult {
    const notBefore = revocations.notBefore(account);
    const issued = Number(labels.iat?.[0] ?? 0);
    if (notBefore !== undefined && issued < notBefore) return { refused: 'the token was revoked' };
    return { account, details: detailsOf(labels), secretHash: undefined, until };
  }

  async function byIdentityToken(token: string, service: string, context: LoginContext) {
    const account = identityTokens.claimed(token).slice(0, maxAccountLength);
    return await admitted({ account, guessable: false, ...context }, async () => {
      const claim = await identityTokens.read(token, service);
      if (claim === undefined) {
        return { result: { refused: 'the identity token is not valid' }, counts: true };
      }
      const identity = find(claim.account);
      const notBefore = revocations.notBefore(claim.account) ?? 0;
      const current =
        identity?.secretHash !== undefined &&
        identityTokens.fits(claim, identity.secretHash) &&
        claim.issuedAt >= notBefore;
      const revoked = { refused: 'the identity token was revoked; log in again' };
      return { result: current ? identity : revoked, counts: true };
    });
  }

  const counted = (result: LoginResult) => {
    if ('refused' in result) onRefused();
    return result;
  };

  return {
    async login(account, password, context) {
      if (workloads.recognizes(password)) return counted(await byWorkloadToken(password, context));
      if (account.startsWith(robotPrefix)) {
        const name = account.slice(0, maxAccountLength);
        return counted(await byRobotSecret(name, password, context));
      }
      if (account.length > maxAccountLength) {
        // Nobody is called so; it counts for the address.
        const attempt = { account: '', guessable: false, ...context };
        return counted(await admitted(attempt, async () => ({ result: wrong, counts: true })));
      }
      return counted(await byPassword(account, password, context));
    },

    byWorkloadToken: async (token, context) => counted(await byWorkloadToken(token, context)),

    byIdentityToken: async (token, service, context) =>
      counted(await byIdentityToken(token, service, context)),
  };
}

interface WorkloadFacts {
  labels: Readonly<Record<string, string[]>>;
  until: number;
}
