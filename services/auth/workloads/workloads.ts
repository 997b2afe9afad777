import {
  createLocalJWKSet,
  decodeJwt,
  errors,
  type JSONWebKeySet,
  type JWK,
  type JWTPayload,
  type JWTVerifyGetKey,
  jwtVerify,
} from 'jose';
import { z } from 'zod';
import { describeTokenFault } from '#libs/auth/describe-token-fault.ts';
import { fetchSmall, type JwksSource, openJwksSource } from '#libs/auth/jwks-source.ts';
import type { WorkloadSettings } from '#libs/config/sections/workloads.ts';
import type { Logger } from '#libs/log/logger.ts';
import { compilePattern, fits, type Pattern } from '#libs/policy/pattern.ts';
import { redactUrls } from '#libs/values/secret.ts';

/** A CI job or a pod that proved who it is. */
export interface Workload {
  /** `name:subject`, the name being the configuration's. */
  account: string;
  /** Its claims, each as a list of texts; a claim in a claim is `outer.inner`. */
  labels: Record<string, string[]>;
  /** When its token ends, in milliseconds since the epoch. */
  until: number;
}

/** OIDC issuers whose tokens log their jobs and pods in. */
export interface Workloads {
  /** True for a text that claims to be a token of a configured issuer. */
  recognizes(text: string): boolean;
  /** The configured name of the issuer that a token claims to be of, before anything is checked. */
  claimed(token: string): string | undefined;
  /** @returns why not, if it is not accepted */
  verify(token: string): Promise<Workload | { refused: string }>;
  close(): void;
}

/** What public keys can prove. */
const algorithms = [
  ...['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512'],
  ...['ES256', 'ES384', 'ES512', 'EdDSA'],
];
/** Seconds that clocks may differ. */
const leeway = 60;
/** Longest account, in characters. */
const maxAccount = 1000;

interface OpenWorkload {
  settings: WorkloadSettings;
  source: JwksSource;
  /** Finds a token's key in the set known last. */
  findKey(): JWTVerifyGetKey;
  claims: [key: string, pattern: Pattern][];
}

const discoverySchema = z.object({ issuer: z.string(), jwks_uri: z.string() });

/** @throws Error with one clear sentence if a key file or a claim's pattern cannot be used */
export async function openWorkloads(
  list: readonly WorkloadSettings[],
  log: Logger,
): Promise<Workloads> {
  const open = await Promise.all(list.map((settings) => openOne(settings, log)));

  return {
    recognizes(text) {
      if (open.length === 0 || !/^eyJ[\w-]+\.[\w-]+\.[\w-]+$/.test(text)) return false;
      const issuer = issuerOf(text);
      return open.some(({ settings }) => settings.issuer === issuer);
    },

    claimed(token) {
      const issuer = issuerOf(token);
      const found = open.find(({ settings }) => settings.issuer === issuer);
      return found === undefined ? undefined : `${found.settings.name}:`;
    },

    async verify(token) {
      const issuer = issuerOf(token);
      let refused = 'no such issuer is configured';
      for (const one of open) {
        if (one.settings.issuer !== issuer) continue;
        const result = await verifyFor(one, token);
        if (!('refused' in result)) return result;
        ({ refused } = result);
      }
      return { refused };
    },

    close() {
      for (const { source } of open) source.close();
    },
  };
}

async function openOne(settings: WorkloadSettings, log: Logger): Promise<OpenWorkload> {
  const { name, issuer, jwks } = settings;
  const claims = Object.entries(settings.claims).map(([key, text]): [string, Pattern] => {
    try {
      return [key, compilePattern(text, { inNames: false })];
    } catch (error) {
      throw new Error(`portcullis.workloads: ${name}: ${(error as Error).message}`, {
        cause: error,
      });
    }
  });
  const options =
    jwks === undefined
      ? { location: issuer, discover: () => discover(issuer) }
      : { location: jwks };
  try {
    const source = await openJwksSource({ ...options, log });
    return { settings, claims, source, findKey: followKeys(source) };
  } catch (error) {
    throw new Error(`portcullis.workloads: ${name}: ${(error as Error).message}`, { cause: error });
  }
}

/** Made once of each set: that reads all of its keys. */
function followKeys(source: JwksSource): () => JWTVerifyGetKey {
  let known: readonly JWK[] | undefined;
  let find: JWTVerifyGetKey | undefined;
  return () => {
    const keys = source.keys();
    if (find === undefined || keys !== known) {
      known = keys;
      find = createLocalJWKSet({ keys } as JSONWebKeySet);
    }
    return find;
  };
}

/** OpenID Connect Discovery 1.0, section 4. */
async function discover(issuer: string): Promise<string> {
  const address = `${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`;
  const document = discoverySchema.parse(JSON.parse(await fetchSmall(address)));
  if (document.issuer !== issuer)
    throw new Error(`${redactUrls(address)} speaks for ${document.issuer}`);
  if (/^https:/i.test(issuer) && !/^https:/i.test(document.jwks_uri)) {
    throw new Error(`${redactUrls(address)} gives a key set URL without TLS`);
  }
  return document.jwks_uri;
}

async function verifyFor(
  { settings, source, findKey, claims }: OpenWorkload,
  token: string,
): Promise<Workload | { refused: string }> {
  const { name, issuer, audience } = settings;
  const check = async () =>
    await jwtVerify(token, findKey(), {
      issuer,
      audience,
      algorithms,
      clockTolerance: leeway,
      requiredClaims: ['sub', 'exp'],
    });
  let payload: JWTPayload;
  try {
    ({ payload } = await check().catch(async (error: unknown) => {
      if (!(error instanceof errors.JWKSNoMatchingKey)) throw error;
      await source.refresh();
      return await check();
    }));
  } catch (error) {
    return { refused: describeTokenFault(error) };
  }
  const labels = flatten(payload);
  if (labels === undefined) return { refused: 'its claims are nested too deep' };
  for (const [key, pattern] of claims) {
    const values = Object.hasOwn(labels, key) ? (labels[key] ?? []) : [];
    if (!values.some((value) => fits(pattern, value, noValues))) {
      return { refused: `claim ${key} is not ${settings.claims[key]}` };
    }
  }
  if (typeof payload.sub !== 'string' || payload.sub === '') return { refused: 'claim sub' };
  const account = `${name}:${payload.sub}`;
  if (account.length > maxAccount || /\p{Cc}/u.test(account)) return { refused: 'claim sub' };
  return { account, labels, until: (payload.exp ?? 0) * 1000 + leeway * 1000 };
}

const noValues = { account: '', type: '', name: '', service: '', labels: {}, captures: {} };

/** How deep claims may be nested in each other. */
const maxDepth = 16;

/**
 * Texts, numbers and yes or no, in lists and in claims; what else there is says nothing.
 * @returns undefined if they are nested deeper than {@link maxDepth}
 */
function flatten(payload: object, before = '', depth = 1): Record<string, string[]> | undefined {
  if (depth > maxDepth) return undefined;
  const labels: Record<string, string[]> = {};
  const isNested = (value: unknown) =>
    typeof value === 'object' && value !== null && !Array.isArray(value);
  // Nested ones last: a name with a dot in it does not stand for them.
  const entries = Object.entries(payload).sort(([, a], [, b]) => +isNested(a) - +isNested(b));
  for (const [key, value] of entries) {
    const name = `${before}${key}`;
    if (isNested(value)) {
      const nested = flatten(value as object, `${name}.`, depth + 1);
      if (nested === undefined) return undefined;
      Object.assign(labels, nested);
      continue;
    }
    // Lists of lists say nothing.
    const texts = [value]
      .flat()
      .filter((one) => ['string', 'number', 'boolean'].includes(typeof one));
    if (texts.length > 0) labels[name] = texts.map(String);
  }
  return labels;
}

function issuerOf(token: string): string | undefined {
  try {
    return decodeJwt(token).iss;
  } catch {
    return undefined;
  }
}
