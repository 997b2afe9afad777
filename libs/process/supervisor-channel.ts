import type { ConfigurationSource } from '#libs/config/load-configuration.ts';
import type { SeenFolder } from '#libs/files/known-folder.ts';
import { parseProcessArguments } from './process-arguments.ts';

/** What a supervisor says to its children. */
export type SupervisorMessage =
  /** The first one: what they act on, whatever the file says by now. */
  | ({ type: 'start' } & StartInstructions)
  /** What it waits for is ready. */
  | { type: 'begin' }
  /** It is about to stop: whoever chooses among several is to choose another. */
  | { type: 'drain' }
  /** It stops now, and lets what runs end. */
  | { type: 'stop' };

export interface StartInstructions {
  /** What the supervisor was started with, and has checked. */
  configuration: ConfigurationSource;
  /** What the users and access rules in force were read from, where they changed since. */
  access?: ConfigurationSource | undefined;
  /** Whether the process was there before: files may have changed since. */
  isRestart: boolean;
  /** What a process of this name saw of its storage. */
  storageBefore?: SeenFolder | undefined;
  /** Whether it is told when to begin: what it needs is not ready yet, and it reads its configuration meanwhile. */
  waits: boolean;
}

/** What a process says to its supervisor. */
export type ProcessMessage =
  | { type: 'ready'; address: string }
  /** Its storage is there, or was. */
  | { type: 'storage seen'; storage: SeenFolder }
  | { type: 'failed' }
  /** Users and access rules are in force that were read from this. */
  | { type: 'access'; access: ConfigurationSource };

/** Whether a supervisor started this process; others may have a channel to a child as well. */
export function isSupervised(): boolean {
  if (process.send === undefined) return false;
  return parseProcessArguments(process.argv.slice(2)).isSupervised;
}

/** A supervisor that is gone is told nothing, and is missed by other means. */
export function tellSupervisor(message: ProcessMessage): void {
  if (isSupervised()) process.send?.(message, undefined, undefined, () => {});
}

/** Waits for what the supervisor says first. `begun` resolves when the process is to begin. */
export async function startInstructions(): Promise<StartInstructions & { begun: Promise<void> }> {
  const begun = Promise.withResolvers<void>();
  const instructions = await new Promise<StartInstructions>((resolve) => {
    const listen = (message: SupervisorMessage) => {
      if (message.type === 'start') resolve(message);
      if (message.type === 'begin' || (message.type === 'start' && !message.waits)) {
        process.off('message', listen);
        begun.resolve();
      }
    };
    process.on('message', listen);
  });
  return { ...instructions, begun: begun.promise };
}
