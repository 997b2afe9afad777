import { parseArgs } from 'node:util';
import { loadConfiguration } from '#libs/config/load-configuration.ts';
import { toSettings } from '#libs/config/settings.ts';
import { UsageError } from '#libs/process/usage-error.ts';
import type { Command } from '../command.ts';
import { listUsers, removeUser, setPassword } from '../htpasswd-file.ts';
import { readPassword } from '../read-password.ts';

const usage =
  'usage: portcullis user add|passwd|remove|list [--file HTPASSWD | --config CONFIG] [NAME]';

/** `user …`: the users of the htpasswd file. A running auth takes a change within seconds. */
export const user: Command = async (args) => {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: { file: { type: 'string' }, config: { type: 'string' } },
  });
  const [action, name, ...more] = positionals;
  if (more.length > 0) {
    throw new UsageError(
      'a password is never an argument: it comes from a prompt or standard input',
    );
  }
  if (action === 'list' && name === undefined) {
    const file = await findFile(values);
    const accounts = await listUsers(file);
    if (accounts.length === 0) process.stderr.write(`no users in ${file}\n`);
    for (const account of accounts) process.stdout.write(`${account}\n`);
    return 0;
  }
  if (name === undefined) throw new UsageError(usage);
  if (action === 'add') {
    await setPassword(await findFile(values), name, await readPassword(), 'add');
  } else if (action === 'passwd') {
    await setPassword(await findFile(values), name, await readPassword(), 'change');
  } else if (action === 'remove') {
    await removeUser(await findFile(values), name);
  } else {
    throw new UsageError(usage);
  }
  process.stderr.write(`user "${name}": done\n`);
  return 0;
};

async function findFile({
  file,
  config,
}: {
  file?: string | undefined;
  config?: string | undefined;
}): Promise<string> {
  if (file !== undefined) return file;
  const { auth } = toSettings(await loadConfiguration(config));
  if (auth === undefined) {
    throw new UsageError('the configuration has no auth.htpasswd; name the file with --file');
  }
  return auth.htpasswd;
}
