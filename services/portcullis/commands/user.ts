import { chmod, chown } from 'node:fs/promises';
import { parseHtpasswd } from '#libs/auth/htpasswd.ts';
import { loadConfiguration } from '#libs/config/load-configuration.ts';
import type { UserIds } from '#libs/config/sections/user.ts';
import type { ConfiguredUsers } from '#libs/config/sections/users.ts';
import { type Settings, toSettings } from '#libs/config/settings.ts';
import { exists } from '#libs/files/exists.ts';
import { readIfPresent, readText } from '#libs/files/read-text.ts';
import { expectUser } from '#libs/process/choose-user.ts';
import { switchToControllerOf } from '#libs/process/drop-privileges.ts';
import { formatTable } from '#libs/process/format-table.ts';
import { UsageError } from '#libs/process/usage-error.ts';
import { costOf } from '#libs/values/account.ts';
import {
  assertFolderOf,
  assertNewUser,
  noUser,
  removeUser,
  setPassword,
} from '../htpasswd-file.ts';
import { howToLetRead, letGroupRead } from '../permissions-of.ts';
import { readPassword } from '../read-password.ts';

/** The htpasswd file itself, or a configuration that names it. */
export interface UsersTarget {
  file?: string | undefined;
  config?: string | undefined;
}

/** What to do with one that no command writes. */
function howToChange(action: 'passwd' | 'remove'): string {
  return action === 'remove'
    ? 'remove it there'
    : 'change it there, or give it another password by user add, which counts first';
}

/** Characters that NIST SP 800-63B asks for at least. */
const shortPassword = 8;

/** Changes one user of the htpasswd file. A running auth takes it within seconds. @returns the exit code */
export async function changeUser(
  action: 'add' | 'passwd' | 'remove',
  name: string,
  target: UsersTarget,
): Promise<number> {
  const { file, configured, settings } = await findFile(target);
  const reader = settings === undefined ? undefined : await expectUser(settings);
  if (action !== 'add' && configured?.has(name) === true && !(await hasUser(file, name))) {
    throw new Error(
      `the user "${name}" stands in portcullis.users of the configuration; ${howToChange(action)}`,
    );
  }
  await assertFolderOf(file);
  // Before anybody types a password in vain.
  const isThere = await hasUser(file, name);
  if (action === 'add') assertNewUser(file, name, isThere);
  else if (!isThere) {
    // It may be the name of the file that is wrong.
    await readText(file);
    throw noUser(file, name);
  }
  const password = action === 'remove' ? '' : await readPassword();
  const isNew = action === 'add' && !(await exists(file));
  // Only root can ask what another user may read, and it becomes another one here.
  const before =
    isRoot() && reader !== undefined && !isNew ? await howToLetRead(reader, file) : undefined;
  await switchToControllerOf(file);
  if (action === 'add') await setPassword(file, name, password, 'add');
  else if (action === 'passwd') await setPassword(file, name, password, 'change');
  else await removeUser(file, name);
  if (isNew && reader !== undefined) await letRead(reader, file);
  const first = isNew ? `; there was no ${file}: it was made, with this user alone` : '';
  process.stderr.write(`user "${name}": done${first}\n`);
  const remedy = isNew && reader !== undefined ? await howToLetReadNew(reader, file) : before;
  if (reader !== undefined && remedy !== undefined) {
    process.stderr.write(
      `warn: the registry serves as user ${reader.uid} (portcullis.user), who may not read ${file}: this counts when it is started again; to have it read at once: ${remedy}\n`,
    );
  }
  if (action !== 'remove' && [...password].length < shortPassword) {
    process.stderr.write(
      `warn: a password of less than ${shortPassword} characters is easily guessed\n`,
    );
  }
  if (action === 'remove' && configured?.has(name) === true) {
    process.stderr.write(
      `"${name}" stands in portcullis.users of the configuration as well, and logs in with the password there\n`,
    );
  }
  return 0;
}

const isRoot = () => process.getuid?.() === 0;

/** Lets another user, and their group, read a file that root made; they may not change it. */
async function letRead({ gid }: UserIds, file: string): Promise<void> {
  if (!isRoot()) return;
  await chown(file, 0, gid);
  await chmod(file, 0o640);
}

/** The same for a file that this process has made, as whoever it is by now. */
async function howToLetReadNew(reader: UserIds, file: string): Promise<string | undefined> {
  if (isRoot()) return await howToLetRead(reader, file);
  return process.getuid?.() === reader.uid ? undefined : letGroupRead(reader, file);
}

/** Whether the file has a line for a user, where it is there: also one that gives no access. */
async function hasUser(file: string, name: string): Promise<boolean> {
  const { accounts, refused } = parseHtpasswd((await readIfPresent(file)) ?? '');
  return accounts.has(name) || refused.has(name);
}

/** The users of the htpasswd file, and lines of it that give nobody access. @returns the exit code */
export async function listUsers(
  target: UsersTarget,
  { quiet, json }: { quiet: boolean; json: boolean },
): Promise<number> {
  const { file, configured = new Map() } = await findFile(target);
  const text = (await readIfPresent(file)) ?? (configured.size > 0 ? '' : await readText(file));
  const { accounts, refused, problems } = parseHtpasswd(text);
  const all = new Map([
    ...[...configured]
      .filter(([name]) => !refused.has(name))
      .map(([name, { hash }]) => [name, hash] as const),
    ...accounts,
  ]);
  const users = [...all].map(([name, hash]) => ({ name, hash: 'bcrypt', cost: costOf(hash) }));
  if (json) {
    process.stdout.write(`${JSON.stringify({ file, users, problems })}\n`);
    return 0;
  }
  for (const problem of problems) process.stderr.write(`${file}: ${problem}\n`);
  if (users.length === 0) process.stderr.write(`no users in ${file}\n`);
  else if (quiet) process.stdout.write(users.map(({ name }) => `${name}\n`).join(''));
  else {
    const rows = users.map(({ name, hash, cost }) => [name, `${hash}, cost ${cost}`]);
    process.stdout.write(formatTable(['USER', 'PASSWORD'], rows));
  }
  return 0;
}

/** The file, and the configuration that names it, with the users there. */
async function findFile({
  file,
  config,
}: UsersTarget): Promise<{ file: string; configured?: ConfiguredUsers; settings?: Settings }> {
  if (file !== undefined) return { file };
  const settings = toSettings(await loadConfiguration(config));
  const { auth } = settings;
  if (auth === undefined) {
    throw new UsageError('the configuration has no auth.htpasswd; name the file with --file');
  }
  return { file: auth.htpasswd, configured: auth.users, settings };
}
