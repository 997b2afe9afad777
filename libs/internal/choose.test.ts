import assert from 'node:assert/strict';
import { Agent } from 'node:http';
import { test } from 'node:test';
import fc from 'fast-check';
import { inOrder } from './choose.ts';
import type { Instance } from './instance.ts';

const agent = new Agent();

function instance(name: string, state: Partial<Instance> = {}): Instance {
  const target = { protocol: 'http:', socketPath: `/${name}` } as const;
  return { name, target, agent, inFlight: 0, ready: true, down: new AbortController(), ...state };
}

const names = fc.uniqueArray(fc.string({ minLength: 1 }), { minLength: 2, maxLength: 8 });

test('everybody puts a key before the same instances in the same order', () => {
  fc.assert(
    fc.property(names, fc.string(), (list, key) => {
      const one = inOrder(
        list.map((name) => instance(name)),
        key,
      );
      const other = inOrder(
        [...list].reverse().map((name) => instance(name)),
        key,
      );
      assert.deepEqual(
        one.map(({ name }) => name),
        other.map(({ name }) => name),
      );
    }),
  );
});

test('when one goes, only its own keys move, each to the next in its order', () => {
  fc.assert(
    fc.property(names, fc.string(), fc.nat(), (list, key, which) => {
      const all = list.map((name) => instance(name));
      const [first, second] = inOrder(all, key);
      const gone = all[which % all.length];
      const left = inOrder(
        all.filter((one) => one !== gone),
        key,
      )[0];
      assert.equal(left, first === gone ? second : first);
      // One that is not ready goes behind, which is the same but for the last resort.
      const resting = all.map((one) => (one === gone ? { ...one, ready: false } : one));
      assert.equal(inOrder(resting, key)[0]?.name, left?.name);
      assert.equal(inOrder(resting, key).at(-1)?.name, gone?.name);
    }),
  );
});

test('keys spread over all', () => {
  const all = ['a', 'b', 'c'].map((name) => instance(name));
  const counts = new Map<string, number>();
  for (let key = 0; key < 3000; key += 1) {
    const name = inOrder(all, `upload ${key}`)[0]?.name ?? '';
    counts.set(name, (counts.get(name) ?? 0) + 1);
  }
  for (const count of counts.values()) assert.ok(count > 800 && count < 1200, String(count));
});

test('without a key the least busy is first, and equals take turns', () => {
  const busy = instance('busy', { inFlight: 3 });
  const [a, b] = [instance('a'), instance('b')];
  const firsts = new Set(Array.from({ length: 6 }, () => inOrder([busy, a, b])[0]));
  assert.deepEqual(firsts, new Set([a, b]));
  assert.equal(inOrder([busy, a, b]).at(-1), busy);
});

test('without instances there is nobody to try', () => {
  assert.deepEqual(inOrder([]), []);
  assert.deepEqual(inOrder([], 'key'), []);
});
