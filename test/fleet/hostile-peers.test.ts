import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { type Fleet, type Member, startFleet } from '../support/fleet.ts';
import {
  type HostilePeer,
  type Misbehaviour,
  misbehaviours,
  startHostilePeer,
} from '../support/hostile-peer.ts';
import { type OidcIssuer, startOidcIssuer } from '../support/oidc-issuer.ts';
import type { Relay } from '../support/relay.ts';
import { run } from '../support/run.ts';
import { waitFor } from '../support/wait-for.ts';

const phrases = {
  garbage: Buffer.from('-ERR\r\n\0\xff\xfe HTTP/9.9 200 no\r\n\r\n', 'latin1'),
  half: Buffer.from('HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{"keys":['),
  error: Buffer.from('HTTP/1.1 500 No\r\nContent-Length: 2\r\n\r\nno'),
  endless: Buffer.from('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffff\r\n'),
};

/** Beside what a TCP peer can do: what a web server can say. */
const answers: Readonly<Record<string, Buffer>> = {
  'an answer of another kind': Buffer.from(
    'HTTP/1.1 200 OK\r\nContent-Length: 4\r\nContent-Type: application/json\r\n\r\nnull',
  ),
  'a redirect to itself': Buffer.from(
    'HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n',
  ),
  'headers without end': Buffer.from(`HTTP/1.1 200 OK\r\n${'X-Header: x\r\n'.repeat(20_000)}`),
};

/** What is tried with a key server. */
const atKeys: ReadonlySet<string> = new Set([
  'resets',
  'says garbage',
  'says nothing',
  'says megabytes',
  'an answer of another kind',
  'a redirect to itself',
]);

describe('our own processes and key servers that misbehave', () => {
  let fleet: Fleet;
  let issuer: OidcIssuer;
  let members: Member[];
  let core: HostilePeer;
  let auth: HostilePeer;
  let keys: HostilePeer;

  before(async () => {
    issuer = await startOidcIssuer();
    keys = await startHostilePeer(Number(new URL(issuer.issuer).port), phrases);
    fleet = await startFleet({
      gateways: 1,
      auths: 1,
      cores: 1,
      portcullis: {
        // One address logs in more often here, and in vain, than limits allow.
        auth: { limits: { address: 0, account: 0, login: 0 } },
        acl: [{ match: { account: '/^..*$/' }, actions: ['*'] }],
        workloads: [
          {
            name: 'ci',
            issuer: issuer.issuer,
            audience: 'registry',
            jwks: `http://127.0.0.1:${keys.port}/keys`,
          },
        ],
      },
    });
    members = [...fleet.gateways, ...fleet.auths, ...fleet.cores];
    core = await startHostilePeer(fleet.cores[0]?.port ?? 0, phrases);
    auth = await startHostilePeer(fleet.auths[0]?.port ?? 0, phrases);
    redirect(fleet.coreRelays[0], core);
    redirect(fleet.authRelays[0], auth);
    await works();
  });

  after(async () => {
    await fleet?.remove();
    for (const peer of [core, auth, keys]) await peer?.close();
    issuer?.close();
  });

  function redirect(relay: Relay | undefined, { port }: HostilePeer): void {
    relay?.target(port);
    relay?.breakAll();
  }

  const curl = async (path: string, ...args: string[]) => {
    const user = ['--user', `${fleet.user}:${fleet.password}`];
    const show = ['-o', '/dev/null', '-w', '%{http_code}', '--max-time', '6'];
    const { stdout } = await run('curl', [
      ...['-sS', '--cacert', fleet.ca, ...show],
      ...(args.includes('--user') ? [] : user),
      ...args,
      `${fleet.url}${path}`,
    ]);
    return stdout;
  };
  const push = () => curl('/v2/builder/app/blobs/uploads/', '-X', 'POST');
  const pull = () => curl('/v2/_catalog');
  const login = () => curl('/v2/_token?service=registry');
  const work = async () => {
    const token = await issuer.sign({ sub: 'job' });
    return await curl('/v2/_token?service=registry', '--user', `job:${token}`);
  };

  async function works(): Promise<void> {
    await waitFor('writes', async () => (await push()) === '202', 60_000);
    assert.equal(await pull(), '200');
    assert.equal(await login(), '200');
  }

  const pids = () => members.map(({ child }) => child.pid);
  const mistakes = () =>
    members
      .flatMap(({ output }) => output().split('\n'))
      .filter((line) => line.includes('unexpected') || line.includes('"fatal"'));
  const longest = () =>
    Math.max(...members.flatMap(({ output }) => output().split('\n')).map(({ length }) => length));

  async function survives(
    peer: HostilePeer,
    how: Misbehaviour | Buffer,
    requests: readonly (() => Promise<string>)[],
  ): Promise<void> {
    const before = pids();
    peer.misbehave(how, () => true);
    peer.cut();
    try {
      const answered = await Promise.all(requests.map((request) => request()));
      // 000: nothing whole came within the time of a client, as of an answer that was cut.
      for (const status of answered) assert.match(status, /^(?:[2-5]\d\d|000)$/);
      await waitFor('it to be asked', () => peer.times() > 0);
    } finally {
      peer.recover();
    }
    await works();
    for (const { kind, child, output } of members) {
      assert.equal(child.exitCode ?? child.signalCode, null, `${kind}: ${output().slice(-2000)}`);
    }
    assert.deepEqual(pids(), before);
    assert.deepEqual(mistakes(), []);
  }

  const every: readonly [string, Misbehaviour | Buffer][] = [
    ...misbehaviours.map((how): [string, Misbehaviour] => [how, how]),
    ...Object.entries(answers),
  ];
  for (const [name, how] of every) {
    test(`a core: ${name}`, () => survives(core, how, [push, pull, push, pull]));
    test(`a token service: ${name}`, () => survives(auth, how, [login, login, push, pull]));
    // Each takes the 10 s within which a key server is asked once.
    if (!atKeys.has(name)) continue;
    test(`a key server: ${name}`, async () => {
      // An unknown key makes auth ask, at most once in so many seconds.
      await issuer.rotate();
      keys.misbehave(how, () => true);
      const before = pids();
      try {
        await waitFor('it to be asked', async () => (await work()) && keys.times() > 0);
        assert.notEqual(await work(), '200');
      } finally {
        keys.recover();
      }
      await works();
      assert.deepEqual(pids(), before);
      assert.deepEqual(mistakes(), []);
    });
  }

  test('and jobs log in again when the key server is well', async () => {
    await waitFor('a job to log in', async () => (await work()) === '200', 60_000);
  });

  test('and no line of a log is as long as what a peer said', () => {
    assert.ok(longest() < 20_000, `${longest()} characters`);
  });
});
