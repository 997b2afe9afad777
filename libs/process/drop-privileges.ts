import { realpath, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import type { UserIds } from '#libs/config/sections/user.ts';
import type { Logger } from '#libs/log/logger.ts';
import { chooseUser, type UserChoice } from './choose-user.ts';
import { changeableByOthers, controllerOf } from './controlling-user.ts';
import { chownFile, chownState } from './hand-over.ts';
import { isSupervised } from './supervisor-channel.ts';
import { UsageError } from './usage-error.ts';

/** What the user gets besides, where it is root's. */
interface HandedOver {
  /** A folder of ours, and the names of what we make in it; made if it is not there. */
  state?: { folder: string; names: readonly string[] };
  /** A file that is written to at its end; made if it is not there. */
  file?: string | undefined;
}

/**
 * Serves as the configured user from now on, for good. To be called when everything is open that only root
 * may open, and before anything is touched that belongs to the user: root follows no link that the user may have
 * laid. Under a supervisor, which says the same once for all, it is silent.
 */
export async function dropPrivileges(
  settings: UserChoice,
  log: Logger,
  { state, file }: HandedOver = {},
): Promise<void> {
  const supervised = isSupervised();
  const warn = (message: string) => log[supervised ? 'debug' : 'warn'](message);
  const ids = await chooseUser(settings, warn);
  if (ids === undefined) return;
  if (state !== undefined) await chownState(state.folder, state.names, ids);
  if (file !== undefined) await chownFile(file, ids);
  try {
    switchUser(ids);
    log[supervised ? 'debug' : 'info'](`serving as ${ids.uid}:${ids.gid}`);
  } catch (error) {
    const { message } = error as Error;
    log.warn(`portcullis.user: cannot become ${ids.uid}:${ids.gid} (${message}); serving as root`);
  }
}

/** @throws Error if the system does not let us */
export function switchUser({ uid, gid }: UserIds): void {
  process.setgroups?.([gid]);
  process.setgid?.(gid);
  process.setuid?.(uid);
}

/**
 * Makes root whoever decides where these paths lead, so that what it does there is no more than they may do.
 * @throws UsageError where that is no single user: root would work for one of them on what is the others'
 */
export async function switchToControllerOf(...paths: readonly string[]): Promise<void> {
  if (process.getuid?.() !== 0) return;
  let user: UserIds | undefined;
  for (const [index, path] of paths.entries()) {
    const other = await controllerOf(path);
    if (index > 0 && other?.uid !== user?.uid) {
      throw new UsageError(
        `${paths[0]} and ${path} are not in the hands of the same user: root works in neither; give both to one user (chown -R)`,
      );
    }
    user ??= other;
    const open = other === undefined ? await changeableByOthers(path) : undefined;
    if (open === undefined) continue;
    // A file itself is left to whom it belongs: it is replaced, whoever may write to it.
    const isFile = (await stat(path).catch(() => undefined))?.isFile() === true;
    if (isFile && open === (await placeOf(path))) continue;
    throw new UsageError(
      `others than root can change where ${path} leads, by ${open}: take that from them (chmod go-w), or run this as the user who serves`,
    );
  }
  if (user !== undefined) switchUser(user);
}

/** A file by the folder that it is really in; a link stays one. */
async function placeOf(file: string): Promise<string> {
  return join(await realpath(dirname(file)), basename(file));
}
