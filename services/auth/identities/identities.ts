import type { CallerDetails } from '#libs/auth/claims.ts';
import { maxAccountLength } from '#libs/auth/htpasswd.ts';
import type { LoginLimits } from '../limits/login-limits.ts';
import type { Revocations } from '../revocations.ts';
import type { RobotStore } from '../robots/robot-store.ts';
import { robotPrefix } from '../robots/robots-file.ts';
import type { UserStore } from '../users/user-store.ts';
import type { Workloads } from '../workloads/workloads.ts';
import type { IdentityTokens } from './identity-tokens.ts';

/** Somebody who proved who they are. */
export interface Identity {
  account: string;
  /** What rules need to know besides, also later. */
  details: CallerDetails | undefined;
  /** How its secret is kept, which identity tokens are bound to; undefined where there can be none. */
  secretForm: string | undefined;
  /** When the proof is no proof any more, in milliseconds since the epoch; tokens end by then. */
  until?: number | undefined;
}

export type LoginResult = Identity | { refused: string };

/** All ways to prove who one is. */
export interface Identities {
  /**
   * By name and password, which may be a robot's secret or a workload's token.
   * @param client address of who asks
   * @throws RegistryError TOOMANYREQUESTS
   */
  login(account: string, password: string, client: string): Promise<LoginResult>;
  /** By an identity token. */
  byIdentityToken(token: string, service: string): Promise<LoginResult>;
  /** By the token of an OIDC issuer. @throws RegistryError TOOMANYREQUESTS */
  byWorkloadToken(token: string, client: string): Promise<LoginResult>;
}

export interface IdentitiesOptions {
  users: UserStore;
  robots: RobotStore;
  workloads: Workloads;
  limits: LoginLimits;
  identityTokens: IdentityTokens;
  revocations: Revocations;
  /** The labels that rules look at; others are not carried along. */
  labelKeys: () => ReadonlySet<string>;
  /** Called for each login that is refused. */
  onRefused?: () => void;
}

const wrong = { refused: 'incorrect username or password' };

export function createIdentities(options: IdentitiesOptions): Identities {
  const { users, robots, workloads, limits, identityTokens, revocations, labelKeys } = options;
  const { onRefused = () => {} } = options;

  /** The account as it is now, if it may still log in. */
  function find(account: string): Identity | undefined {
    if (account.startsWith(robotPrefix)) {
      const robot = robots.find(account);
      if (robot === undefined) return undefined;
      const until = robot.expires?.getTime();
      return { account, details: { access: robot.access }, secretForm: robot.hash, until };
    }
    const hash = users.accounts().get(account);
    return hash === undefined ? undefined : { account, details: undefined, secretForm: hash };
  }

  async function byPassword(account: string, password: string, client: string) {
    if (account.length > maxAccountLength) {
      await limits.wrong(client);
      return wrong;
    }
    if (account.startsWith(robotPrefix)) {
      // A secret of 256 bits is not guessed: only wrong ones are counted.
      if (robots.verify(account, password) !== undefined) return find(account) ?? wrong;
      await limits.wrong(client);
      return wrong;
    }
    const hash = users.accounts().get(account);
    if (!(await users.remembers(account, password))) {
      const cameOut = await limits.admit(account, client);
      const right = await users.verify(account, password, client);
      await cameOut(right);
      if (!right) return wrong;
    }
    // The password may have been changed meanwhile: then it was the old one that was right.
    const identity = find(account);
    return identity !== undefined && identity.secretForm === hash ? identity : wrong;
  }

  async function byWorkloadToken(token: string, client: string): Promise<LoginResult> {
    // A signature is not guessed either.
    const result = await workloads.verify(token);
    if ('refused' in result) {
      await limits.wrong(client);
      return result;
    }
    const { account, labels, until } = result;
    const used = Object.entries(labels).filter(([key]) => labelKeys().has(key));
    const notBefore = revocations.notBefore(account);
    const issued = Number(labels.iat?.[0] ?? 0);
    if (notBefore !== undefined && issued < notBefore) return { refused: 'the token was revoked' };
    return { account, details: { labels: Object.fromEntries(used) }, secretForm: undefined, until };
  }

  const counted = (result: LoginResult) => {
    if ('refused' in result) onRefused();
    return result;
  };

  return {
    async login(account, password, client) {
      return counted(
        workloads.recognizes(password)
          ? await byWorkloadToken(password, client)
          : await byPassword(account, password, client),
      );
    },

    byWorkloadToken: async (token, client) => counted(await byWorkloadToken(token, client)),

    async byIdentityToken(token, service) {
      const claim = await identityTokens.read(token, service);
      if (claim === undefined) return counted({ refused: 'the identity token is not valid' });
      const identity = find(claim.account);
      const notBefore = revocations.notBefore(claim.account) ?? 0;
      const current =
        identity?.secretForm !== undefined &&
        identityTokens.fits(claim, identity.secretForm) &&
        claim.issuedAt >= notBefore;
      return current
        ? identity
        : counted({ refused: 'the identity token was revoked; log in again' });
    },
  };
}
