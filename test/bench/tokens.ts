/**
 * What a token costs to issue and to verify, as ratios to one signature of the same key in the same run:
 * `make bench`.
 */
import { generateKeyPairSync, sign, verify } from 'node:crypto';
import { createLocalJWKSet } from 'jose';
import { createVerifier } from '#libs/auth/verify.ts';
import { createAclPolicy } from '#libs/policy/acl.ts';
import { callerOf } from '#libs/policy/caller.ts';
import { issueToken } from '../../services/auth/issue.ts';
import { createTemporaryKey } from '../../services/auth/keys/signing-key.ts';

const rounds = 2000;
const key = await createTemporaryKey();
const service = { name: 'registry', kid: 'rfc7638', x5c: true } as const;
const options = { signing: () => key, issuer: 'x', services: [service], ttl: 300_000 } as const;
const access = [{ type: 'repository', name: 'team/app', actions: ['pull', 'push'] }];
const issue = async () =>
  (await issueToken({ ...options, services: [service] }, { service, account: 'bob', access }))
    .token;
const find = createLocalJWKSet({ keys: [{ ...key.publicJwk, kty: 'EC' }] });
const verifier = createVerifier({
  issuer: 'x',
  audience: 'registry',
  keys: {
    find: async (header) => ({ key: await find(header), id: key.kid }),
    trusts: () => 'tokens',
    notBefore: () => undefined,
  },
});

/** Microseconds of processor time for one. */
async function cost(action: (round: number) => unknown): Promise<number> {
  for (let round = 0; round < 200; round += 1) await action(round);
  const before = process.cpuUsage();
  for (let round = 0; round < rounds; round += 1) await action(round);
  const { user, system } = process.cpuUsage(before);
  return (user + system) / rounds;
}

const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const message = Buffer.alloc(500);
const signature = sign('sha256', message, privateKey);
const tokens = await Promise.all(Array.from({ length: rounds + 200 }, issue));
const rules = Array.from({ length: 100 }, (_, n) => ({
  match: { account: `/^user${n}$/`, name: `team${n}/**` },
  actions: ['pull'],
}));
const policy = createAclPolicy(
  [...rules, { match: { name: '${account}/**' }, actions: ['*'] }],
  {},
);
const wanted = { type: 'repository', name: 'bob/app', actions: ['pull', 'push'] };

const unit = await cost(() => sign('sha256', message, privateKey));
const rows: [what: string, microseconds: number][] = [
  ['one ES256 signature', unit],
  ['one check of a signature', await cost(() => verify('sha256', message, publicKey, signature))],
  ['a token issued', await cost(issue)],
  [
    'a token verified for the first time',
    await cost((round) => verifier.verify(tokens[round] ?? '')),
  ],
  ['a token verified again', await cost(() => verifier.verify(tokens[0] ?? ''))],
  ['a decision by the last of 101 rules', await cost(() => policy.decide(callerOf('bob'), wanted))],
];
for (const [what, microseconds] of rows) {
  const ratio = (microseconds / unit).toFixed(2).padStart(6);
  process.stdout.write(`${ratio}  ${microseconds.toFixed(1).padStart(8)} µs  ${what}\n`);
}
process.exit(0);
