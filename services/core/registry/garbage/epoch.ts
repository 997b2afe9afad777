import { randomBytes } from 'node:crypto';

declare const kind: unique symbol;

/** The name of what came into the trash within one minute of a collection: when the first of it came, and a random part. */
export type Epoch = string & { readonly [kind]: 'epoch' };

/** Milliseconds in which items come into one epoch: its name tells when the first came, and so the last at most. */
export const epochLength = 60_000;

/** A new epoch that begins now. */
export function createEpoch(now: Date): Epoch {
  return `${String(now.getTime()).padStart(15, '0')}-${randomBytes(4).toString('hex')}` as Epoch;
}

/** Whether a folder of the trash is an epoch's. */
export function isEpoch(name: string): name is Epoch {
  return /^\d{15}-[0-9a-f]{8}$/.test(name);
}

/**
 * From when on what came into the trash in an epoch is removed for good.
 * @param began when the epoch began
 * @param grace milliseconds that everything stays
 */
export function dueFrom(began: Date, grace: number): Date {
  return new Date(began.getTime() + epochLength + grace);
}

/** When an epoch began. */
export function epochBegan(epoch: Epoch): Date {
  return new Date(Number(epoch.slice(0, 15)));
}
