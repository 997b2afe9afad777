import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import fc from 'fast-check';
import { digestOf } from '#libs/oci/digest.ts';
import { parseRepositoryName } from '#libs/oci/reference.ts';
import { paths } from '../../services/core/registry/paths.ts';
import type { Registry } from '../../services/core/registry/registry.ts';
import { readAll } from '../../services/core/registry/small-files.ts';
import type { UploadKey } from '../../services/core/registry/uploads/session-access.ts';
import { type CoresOnRedis, startCoresOnRedis } from '../support/cores-on-redis.ts';
import { type Actor, startActor, stopBefore } from '../support/schedule.ts';
import { createSteppingDriver } from '../support/stepping-driver.ts';

const repository = parseRepositoryName('team/app');
const pieceSize = 100;
const pieces = 4;

/**
 * What happens next: the client's request (`go`) or one that the client has given up (`late`) takes a step, or all it has left (`run`,
 * `runLate`); the client gives up waiting and sends the same again (`again`), or asks where it is and goes on from there (`ask`), at
 * any core; all leases run out; Redis forgets the upload, or goes back to what it knew before; a core starts anew.
 */
const events = [
  ...['go', 'go', 'go', 'late', 'late', 'late', 'run', 'runLate', 'again', 'again', 'ask'],
  ...['expire', 'expire', 'forget', 'remember', 'setBack', 'restart'],
] as const;
type Event = (typeof events)[number];
interface Move {
  event: (typeof events)[number];
  /** Which core, or which late request. */
  at: number;
}

interface Answer {
  offset?: number;
  code?: string;
  isComplete?: boolean;
}

/** One client, who sends an upload in pieces to whichever core, and everything that it ever gave up. */
class Play {
  readonly #world: CoresOnRedis;
  readonly #content = randomBytes(pieceSize * pieces);
  readonly #digest = digestOf(this.#content);
  readonly #cores: Registry[];
  #key!: UploadKey;
  /** Bytes that the client was told are there. */
  #known = 0;
  #current: Actor<Answer> | undefined;
  #late: Actor<Answer>[] = [];
  #kept: Buffer | undefined;
  #isComplete = false;

  constructor(world: CoresOnRedis) {
    this.#world = world;
    this.#cores = [this.#openCore(), this.#openCore()];
  }

  async begin(): Promise<void> {
    const { id } = await this.#core(0).uploads.start(repository, '');
    this.#key = { repository, id, subject: '' };
  }

  #openCore(): Registry {
    const { driver } = this.#world;
    return this.#world.openCore(
      createSteppingDriver(driver, async ({ operation, path }) => {
        await stopBefore(`${operation} ${path.split('/').at(-1)}`);
      }),
    );
  }

  #core(at: number): Registry {
    return this.#cores[at % this.#cores.length] as Registry;
  }

  async run({ event, at }: Move): Promise<void> {
    if (this.#isComplete) return;
    const late = this.#late[at % Math.max(1, this.#late.length)];
    const current = async () => {
      this.#current ??= await this.#send(at);
      return this.#current;
    };
    switch (event) {
      case 'go':
        await (await current()).step();
        await this.#hear();
        break;
      case 'run':
        await runToEnd(await current());
        await this.#hear();
        break;
      case 'late':
        await late?.step();
        break;
      case 'runLate':
        if (late !== undefined) await runToEnd(late);
        break;
      case 'again':
        this.#giveUp();
        break;
      case 'ask':
        this.#giveUp();
        await this.#ask(at);
        break;
      case 'expire':
        this.#world.expire();
        break;
      case 'forget':
        await this.#world.forget(this.#key.id);
        break;
      case 'remember':
        this.#kept = await this.#world.dump(this.#key.id).catch(() => this.#kept);
        break;
      case 'setBack':
        if (this.#kept !== undefined) await this.#world.restore(this.#key.id, this.#kept);
        break;
      case 'restart':
        // The requests of the former core go on, as those of one that is taken for dead do.
        this.#cores[at % this.#cores.length] = this.#openCore();
        break;
    }
  }

  /** All that is late is carried out in turn, and the client does what is left to do. */
  async settle(turns: readonly number[]): Promise<void> {
    this.#giveUp();
    for (const turn of turns) await this.#late[turn % Math.max(1, this.#late.length)]?.step();
    for (let attempt = 1; !this.#isComplete; attempt += 1) {
      assert.ok(attempt < 8 + pieces, 'the upload can be finished');
      this.#world.expire();
      this.#current = await this.#send(attempt);
      await runToEnd(this.#current);
      await this.#hear();
    }
    for (const request of this.#late) await runToEnd(request);
    const { driver } = this.#world;
    assert.deepEqual(await readAll(driver, paths.blob(this.#digest)), this.#content);
    await this.#world.openCore().blobs.remove(repository, this.#digest);
    await driver.remove(paths.blob(this.#digest));
  }

  #giveUp(): void {
    if (this.#current !== undefined) this.#late.push(this.#current);
    this.#current = undefined;
  }

  /** The next piece, and the end behind the last. */
  async #send(at: number): Promise<Actor<Answer>> {
    const core = this.#core(at);
    const start = this.#known;
    if (start === this.#content.length) {
      return await startActor(async () => {
        try {
          await core.uploads.complete(this.#key, this.#digest);
          return { isComplete: true };
        } catch (error) {
          return { code: codeOf(error) };
        }
      });
    }
    const bytes = this.#content.subarray(start, start + pieceSize);
    async function* source() {
      yield bytes.subarray(0, pieceSize / 2);
      await stopBefore('second half');
      yield bytes.subarray(pieceSize / 2);
    }
    return await startActor(async () => {
      try {
        const chunk = { source, locationOffset: start, length: bytes.length };
        return { offset: await core.uploads.append(this.#key, chunk) };
      } catch (error) {
        return { code: codeOf(error) };
      }
    });
  }

  /** What the client makes of the answer, if there is one. */
  async #hear(): Promise<void> {
    if (this.#current?.isDone !== true) return;
    const { offset, code, isComplete = false } = await this.#current.outcome;
    this.#current = undefined;
    if (offset !== undefined) {
      assert.equal(offset, Math.min(this.#known + pieceSize, this.#content.length));
      this.#known = offset;
    } else if (code === 'BLOB_UPLOAD_UNKNOWN') {
      // As the interface answers: one that was given up has completed it.
      const isThere = await this.#world.openCore().blobs.has(repository, this.#digest);
      assert.ok(isThere, 'the upload is there until it is complete');
      this.#isComplete = true;
    } else if (!isComplete) {
      assert.ok(['UNAVAILABLE', 'lock-busy'].includes(code ?? ''), `answered ${code}`);
    }
    this.#isComplete ||= isComplete;
  }

  async #ask(at: number): Promise<void> {
    try {
      const { offset } = await this.#core(at).uploads.status(this.#key);
      if (offset > this.#known) this.#known = offset;
    } catch (error) {
      assert.equal(codeOf(error), 'BLOB_UPLOAD_UNKNOWN');
      assert.ok(await this.#world.openCore().blobs.has(repository, this.#digest));
      this.#isComplete = true;
    }
  }
}

async function runToEnd(actor: Actor<unknown>): Promise<void> {
  while (!actor.isDone) await actor.step();
}

function codeOf(error: unknown): string {
  return (error as { code?: string }).code ?? String(error);
}

describe('an upload of which nothing is lost and nothing doubled', () => {
  let world: CoresOnRedis;

  before(async () => {
    world = await startCoresOnRedis();
  });

  after(async () => {
    await world?.[Symbol.asyncDispose]();
  });

  test('whatever is late, sent again, forgotten and set back, in whatever order', async () => {
    const numRuns = process.env.CHAOS === undefined ? 120 : 5000;
    const move = fc.record<Move>({ event: fc.constantFrom<Event>(...events), at: fc.nat(3) });
    await fc.assert(
      fc.asyncProperty(
        fc.array(move, { maxLength: 60, size: 'max' }),
        fc.array(fc.nat(7), { maxLength: 60, size: 'max' }),
        async (moves, turns) => {
          const play = new Play(world);
          await play.begin();
          for (const next of moves) await play.run(next);
          await play.settle(turns);
        },
      ),
      { numRuns },
    );
  });
});
