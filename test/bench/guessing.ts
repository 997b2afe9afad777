/**
 * What somebody gets who guesses passwords or floods the token endpoint, and what others have of it: real processes,
 * default limits, addresses told by a trusted proxy. `make bench-guessing`; the numbers stand in docs/security.md.
 */
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { Agent, request } from 'node:http';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import bcrypt from 'bcryptjs';
import { startConfigured } from '../support/configured-stack.ts';
import type { Stack } from '../support/stack.ts';

const password = 'a good password';
const agent = new Agent({ keepAlive: true, maxSockets: 600 });

interface Answer {
  status: number;
  ms: number;
}

interface Login {
  account?: string;
  secret?: string;
  from: string;
  query?: string;
}

/** A token request, with or without a login. */
function ask(stack: Stack, { account, secret, from, query = '' }: Login): Promise<Answer> {
  const headers: Record<string, string> = { 'X-Forwarded-For': from };
  if (account !== undefined) {
    headers.Authorization = `Basic ${Buffer.from(`${account}:${secret}`).toString('base64')}`;
  }
  const began = performance.now();
  return new Promise((resolve, reject) => {
    const outgoing = request(`${stack.url}/v2/_token?${query}`, { headers, agent }, (answer) => {
      answer.resume();
      answer.once('end', () =>
        resolve({ status: answer.statusCode ?? 0, ms: performance.now() - began }),
      );
      answer.once('error', reject);
    });
    outgoing.once('error', reject);
    outgoing.end();
  });
}

/** So many at once, until all are done. */
async function atOnce<T>(width: number, all: readonly (() => Promise<T>)[]): Promise<T[]> {
  const results: T[] = [];
  let next = 0;
  const work = async () => {
    for (let one = all[next++]; one !== undefined; one = all[next++]) results.push(await one());
  };
  await Promise.all(Array.from({ length: width }, work));
  return results;
}

function count(answers: readonly Answer[]): string {
  const counts = new Map<number, number>();
  for (const { status } of answers) counts.set(status, (counts.get(status) ?? 0) + 1);
  return [...counts].map(([status, times]) => `${times} × ${status}`).join(', ');
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1] ?? Number.NaN;
}

const say = (text: string) => process.stdout.write(`${text}\n`);
const times = <T>(number: number, make: (n: number) => T) =>
  Array.from({ length: number }, (_, n) => make(n));

async function withStack(work: (stack: Stack) => Promise<void>): Promise<void> {
  const names = ['bob', 'eve', 'ann', 'dan'];
  const stack = await startConfigured({
    users: Object.fromEntries(names.map((name) => [name, password])),
    sections: (dir) => ({
      portcullis: {
        audit: join(dir, 'audit.log'),
        gateway: { trustedproxies: ['127.0.0.1'] },
      },
    }),
  });
  try {
    await work(stack);
  } finally {
    await stack.remove();
  }
}

const only = process.argv[2];
const scenarios: Record<string, (stack: Stack) => Promise<void>> = {
  async remembered(stack) {
    await ask(stack, { account: 'bob', secret: password, from: '10.0.0.1' });
    const guesses = times(20_000, (n) => () => {
      const secret = n === 19_999 ? password : `guess ${n}`;
      return ask(stack, { account: 'bob', secret, from: '10.9.9.9' });
    });
    const began = performance.now();
    const answers = await atOnce(50, guesses);
    const seconds = (performance.now() - began) / 1000;
    say(
      `20 000 guesses, the last one right, from one address for an account that just logged in: ${count(answers)}, ${Math.round(20_000 / seconds)}/s`,
    );
  },

  async burst(stack) {
    const same = await Promise.all(
      times(450, (n) =>
        ask(stack, { account: 'bob', secret: `${n}`, from: `2001:db8:1:1::${n + 1}` }),
      ),
    );
    say(`450 guesses in one burst from one /64, for one account: ${count(same)}`);
    const others = await Promise.all(
      times(450, (n) =>
        ask(stack, { account: `user${n}`, secret: 'x', from: `2001:db8:2:1::${n + 1}` }),
      ),
    );
    say(`450 guesses in one burst from one /64, each for another: ${count(others)}`);
  },

  async starving(stack) {
    await ask(stack, { account: 'bob', secret: password, from: '10.0.0.1' });
    let over = false;
    const attack = Promise.all(
      times(100, async (network) => {
        const answers = await atOnce(
          5,
          times(495, (n) => async () => {
            if (over) return { status: 0, ms: 0 };
            const from = `10.1.${network}.1`;
            const answer = await ask(stack, { account: `no-${network}-${n}`, secret: 'x', from });
            if (answer.status === 429) await sleep(100);
            return answer;
          }),
        );
        return answers.filter(({ status }) => status !== 0);
      }),
    );
    await sleep(1000);
    const known: Answer[] = [];
    const fresh: Answer[] = [];
    for (let n = 0; n < 20; n += 1) {
      // Wrong, so that it is compared each time.
      if (n % 2 === 0 && n < 18) {
        known.push(await ask(stack, { account: 'bob', secret: `wrong ${n}`, from: '10.0.0.1' }));
      }
      fresh.push(await ask(stack, { account: 'eve', secret: `wrong ${n}`, from: `10.2.0.${n}` }));
      await sleep(250);
    }
    const newcomer = await ask(stack, { account: 'ann', secret: password, from: '10.3.0.1' });
    over = true;
    const answers = (await attack).flat();
    const worst = (list: readonly Answer[]) => Math.round(Math.max(...list.map(({ ms }) => ms)));
    say(`100 networks guess unknown names, 5 at once each: ${count(answers)}`);
    say(
      `  answers to the attack: median ${Math.round(median(answers.map(({ ms }) => ms)))} ms, longest ${worst(answers)} ms`,
    );
    say(
      `  logins from a known address meanwhile, compared each time: ${count(known)}, longest ${worst(known)} ms`,
    );
    say(`  the first attempt of another network: ${count(fresh)}, longest ${worst(fresh)} ms`);
    say(
      `  a right password at a new address: ${newcomer.status} after ${Math.round(newcomer.ms)} ms`,
    );
  },

  async lockout(stack) {
    const answers: Answer[] = [];
    for (let n = 0; n < 110; n += 1) {
      const from = `10.4.0.${n % 11}`;
      answers.push(await ask(stack, { account: 'dan', secret: `wrong ${n}`, from }));
    }
    const owner = await ask(stack, { account: 'dan', secret: password, from: '10.5.0.1' });
    say(
      `110 wrong guesses from 11 addresses: ${count(answers)}; then the owner at a new address: ${owner.status}`,
    );
  },

  async existence(stack) {
    const line = (name: string, cost: number) => `${name}:${bcrypt.hashSync(password, cost)}`;
    const path = join(stack.dir, 'htpasswd');
    writeFileSync(path, `${readFileSync(path, 'utf8')}${line('cheap', 6)}\n${line('dear', 10)}\n`);
    await sleep(4000);
    const measured = new Map<string, number[]>();
    for (let n = 0; n < 40; n += 1) {
      for (const [index, account] of ['cheap', 'dear', 'nobody'].entries()) {
        const from = `10.6.${index}.${n}`;
        const { ms } = await ask(stack, { account, secret: `wrong ${n}`, from });
        measured.set(account, [...(measured.get(account) ?? []), ms]);
      }
    }
    const medians = [...measured].map(([name, all]) => `${name} ${median(all).toFixed(1)} ms`);
    say(`wrong passwords, hashes of cost 6 and 10, median of 40: ${medians.join(', ')}`);
  },

  async flood(stack) {
    const audit = join(stack.dir, 'audit.log');
    const size = () => ({ log: stack.output().length, audit: statSync(audit).size });
    const query = (number: number) =>
      times(number, (n) => `scope=repository:${'a'.repeat(100)}/${n}:pull,push,delete`).join('&');
    const before = size();
    const one = await ask(stack, { from: '10.7.0.1', query: query(100) });
    await sleep(300);
    const after = size();
    say(
      `one anonymous request with 100 scopes: ${one.status}, ${after.log - before.log} bytes of log, ${after.audit - before.audit} of audit log`,
    );
    for (const scopes of [100, 10]) {
      const start = size();
      const end = performance.now() + 10_000;
      let requests = 0;
      await Promise.all(
        times(20, async () => {
          while (performance.now() < end) {
            await ask(stack, { from: `10.8.0.${scopes}`, query: query(scopes) });
            requests += 1;
          }
        }),
      );
      await sleep(300);
      const { log, audit: written } = size();
      const all = (log - start.log + written - start.audit) / 1e6;
      say(
        `10 s of them with ${scopes} scopes from one client: ${requests} requests, ${((log - start.log) / 1e6).toFixed(1)} MB of log, ${((written - start.audit) / 1e6).toFixed(2)} MB of audit log, ${all.toFixed(1)} MB in all`,
      );
    }
  },
};

for (const [name, scenario] of Object.entries(scenarios)) {
  if (only === undefined || only === name) await withStack(scenario);
}
agent.destroy();
process.exit(0);
