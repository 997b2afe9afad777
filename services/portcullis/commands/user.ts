import { costOf, parseHtpasswd } from '#libs/auth/htpasswd.ts';
import { loadConfiguration } from '#libs/config/load-configuration.ts';
import { toSettings } from '#libs/config/settings.ts';
import { readText } from '#libs/files/read-text.ts';
import { switchToControllerOf } from '#libs/process/drop-privileges.ts';
import { formatTable } from '#libs/process/format-table.ts';
import { UsageError } from '#libs/process/usage-error.ts';
import { assertFolderOf, removeUser, setPassword } from '../htpasswd-file.ts';
import { readPassword } from '../read-password.ts';

/** The htpasswd file itself, or a configuration that names it. */
export interface UsersTarget {
  file?: string | undefined;
  config?: string | undefined;
}

/** Changes one user of the htpasswd file. A running auth takes it within seconds. @returns the exit code */
export async function changeUser(
  action: 'add' | 'passwd' | 'remove',
  name: string,
  target: UsersTarget,
): Promise<number> {
  const file = await findFile(target);
  await assertFolderOf(file);
  const password = action === 'remove' ? '' : await readPassword();
  await switchToControllerOf(file);
  if (action === 'add') await setPassword(file, name, password, 'add');
  else if (action === 'passwd') await setPassword(file, name, password, 'change');
  else await removeUser(file, name);
  process.stderr.write(`user "${name}": done\n`);
  return 0;
}

/** The users of the htpasswd file, and lines of it that give nobody access. @returns the exit code */
export async function listUsers(
  target: UsersTarget,
  { quiet, json }: { quiet: boolean; json: boolean },
): Promise<number> {
  const file = await findFile(target);
  const { accounts, problems } = parseHtpasswd(await readText(file));
  const users = [...accounts].map(([name, hash]) => ({ name, hash: 'bcrypt', cost: costOf(hash) }));
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

async function findFile({ file, config }: UsersTarget): Promise<string> {
  if (file !== undefined) return file;
  const { auth } = toSettings(await loadConfiguration(config));
  if (auth === undefined) {
    throw new UsageError('the configuration has no auth.htpasswd; name the file with --file');
  }
  return auth.htpasswd;
}
