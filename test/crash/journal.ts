import assert from 'node:assert/strict';
import type { Digest } from '#libs/oci/digest.ts';
import type { Fixture, ImageFixture } from '../support/images.ts';
import type { CoreProcess } from './core-process.ts';

/** What a tag or content may be when nobody was told how a request ended. */
type Known<T> = { now: T | undefined } | { either: readonly (T | undefined)[] };

/**
 * What clients were told. Whatever was acknowledged must be so; of what was asked and never answered
 * both outcomes are right, as long as they are whole.
 */
export class Journal {
  readonly #content = new Map<string, Known<Buffer>>();
  readonly #tags = new Map<string, Known<Digest>>();

  /** A blob or manifest is about to be stored. */
  storing(path: string, { bytes }: Fixture): { acknowledged: () => void } {
    return this.#change(this.#content, path, bytes);
  }

  deleting(path: string): { acknowledged: () => void } {
    return this.#change(this.#content, path, undefined);
  }

  tagging(path: string, image: ImageFixture | Fixture): { acknowledged: () => void } {
    return this.#change(this.#tags, path, image.descriptor.digest);
  }

  untagging(path: string): { acknowledged: () => void } {
    return this.#change(this.#tags, path, undefined);
  }

  /** A manifest is about to be deleted, and with it the tag if it points there. */
  untaggingFrom(path: string, { descriptor }: Fixture): { acknowledged: () => void } {
    const before = this.#tags.get(path) ?? { now: undefined };
    const values = 'now' in before ? [before.now] : before.either;
    this.#tags.set(path, { either: [...values, undefined] });
    const after = values.map((digest) => (digest === descriptor.digest ? undefined : digest));
    return { acknowledged: () => void this.#tags.set(path, { either: after }) };
  }

  #change<T>(map: Map<string, Known<T>>, path: string, to: T | undefined) {
    const before = map.get(path) ?? { now: undefined };
    const values = 'now' in before ? [before.now] : before.either;
    map.set(path, { either: [...values, to] });
    return { acknowledged: () => void map.set(path, { now: to }) };
  }

  /** Compares everything with what the core says now, and settles what was open. */
  async verify(core: CoreProcess): Promise<void> {
    for (const [path, known] of this.#content) {
      const head = await core.ask('HEAD', path);
      const { status, body } = await core.ask('GET', path);
      assert.equal(head.status, status, path);
      const found = status === 200 ? body : undefined;
      if (status !== 200) assert.equal(status, 404, path);
      const allowed = 'now' in known ? [known.now] : known.either;
      assert.ok(
        allowed.some((bytes) => same(bytes, found)),
        `${path}: ${status} is neither what was acknowledged nor what was asked for`,
      );
      this.#content.set(path, { now: found });
    }
    for (const [path, known] of this.#tags) {
      const { status, headers } = await core.ask('GET', path);
      const found = status === 200 ? (headers['docker-content-digest'] as Digest) : undefined;
      if (status !== 200) assert.equal(status, 404, path);
      const allowed = 'now' in known ? [known.now] : known.either;
      assert.ok(allowed.includes(found), `${path}: ${found} was not asked for, or was overtaken`);
      if (found !== undefined) {
        const manifest = path.replace(/[^/]+$/, found);
        assert.equal((await core.ask('GET', manifest)).status, 200, `${path} points to nothing`);
      }
      this.#tags.set(path, { now: found });
    }
  }
}

function same(one: Buffer | undefined, other: Buffer | undefined): boolean {
  return one === undefined || other === undefined ? one === other : one.equals(other);
}
