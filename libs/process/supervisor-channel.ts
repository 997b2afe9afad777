import type { ConfigurationSource } from '#libs/config/load-configuration.ts';
import type { SeenFolder } from '#libs/files/known-folder.ts';
import { parseProcessArguments } from './process-arguments.ts';

/** What a supervisor says to its children. */
export type SupervisorMessage =
  /** The first one: what they act on, whatever the file says by now. */
  | ({ type: 'start' } & StartInstructions)
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

/** Waits for what the supervisor says first. */
export async function startInstructions(): Promise<StartInstructions> {
  return await new Promise((resolve) => {
    const listen = (message: SupervisorMessage) => {
      if (message.type !== 'start') return;
      process.off('message', listen);
      resolve(message);
    };
    process.on('message', listen);
  });
}
