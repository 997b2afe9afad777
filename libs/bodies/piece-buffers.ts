const KiB = 1024;
const MiB = 1024 * KiB;

/** How large buffers are; in bytes. */
export interface BufferSizes {
  /** Of the first ones, which may have so many bytes together: for one or two transfers that have a process for themselves. */
  first: { size: number; total: number };
  /** While there are few. */
  most: number;
  /** However many there are. */
  least: number;
  /** Of all of them together, as long as those of the smallest size are not more. */
  total: number;
  /** Of those that are free, and kept for the next who needs one. */
  kept: number;
}

/**
 * For uploads, on their way to another process or to a file. No larger where there are several: each is sent, or hashed and
 * written, in one go, while which small requests wait.
 */
export const uploadSizes: BufferSizes = {
  first: { size: 512 * KiB, total: 2 * MiB },
  most: 256 * KiB,
  least: 16 * KiB,
  total: 32 * MiB,
  kept: 4 * MiB,
};

/** The buffers for pieces of bodies of a process: large ones while there are few, small ones where there are many. */
export class PieceBuffers {
  readonly #sizes: BufferSizes;
  /** By their size. */
  readonly #free = new Map<number, Buffer[]>();
  #used = 0;
  #kept = 0;

  constructor(sizes: BufferSizes) {
    this.#sizes = sizes;
  }

  /** Bytes that are in use. */
  get used(): number {
    return this.#used;
  }

  take(): Buffer {
    const { first, most, least, total } = this.#sizes;
    // Of what is left each takes a part, so that it never runs out: the more there are, the smaller is the next.
    const share = Math.floor((total - this.#used) / 32);
    const isOfFirst = this.#used + first.size <= first.total;
    let size = isOfFirst ? first.size : most;
    while (!isOfFirst && size > share && size > least) size /= 2;
    const known = this.#free.get(size)?.pop();
    if (known !== undefined) this.#kept -= size;
    this.#used += size;
    return known ?? Buffer.allocUnsafeSlow(size);
  }

  /** @param isWritten whether it may be filled again; not where a connection that was closed may still have it */
  release(buffer: Buffer, isWritten: boolean): void {
    const { length: size } = buffer;
    this.#used -= size;
    if (!isWritten) return;
    // What many transfers left in other sizes makes room for what is in use now.
    for (const [other, free] of this.#free) {
      while (other !== size && this.#kept + size > this.#sizes.kept && free.pop() !== undefined) {
        this.#kept -= other;
      }
    }
    if (this.#kept + size > this.#sizes.kept) return;
    this.#kept += size;
    const free = this.#free.get(size) ?? [];
    free.push(buffer);
    this.#free.set(size, free);
  }
}
