import { parseHtpasswd } from '#libs/auth/htpasswd.ts';
import { formatConfiguration } from '#libs/config/format-configuration.ts';
import { loadConfiguration } from '#libs/config/load-configuration.ts';
import { checkConfiguration } from '#libs/config/load-settings.ts';
import { readText } from '#libs/files/read-text.ts';
import { services } from '#libs/values/service-name.ts';
import { checkFiles } from '../check-files.ts';

export interface ConfigCheckOptions {
  config: string | undefined;
  /** Says what each key means. */
  explain: boolean;
}

/**
 * What is in effect, what of it will not be acted on, and whether `serve` would start with it: by the same code.
 * @returns the exit code
 */
export async function configCheck({ config, explain }: ConfigCheckOptions): Promise<number> {
  const loaded = await loadConfiguration(config);
  const { settings, problems, warnings } = checkConfiguration(loaded);
  const files =
    settings === undefined
      ? { problems: [], unreadable: [] }
      : await checkFiles(settings, services);
  const users = settings?.auth === undefined ? [] : await describeUsers(settings.auth.htpasswd);
  process.stdout.write(
    `# ${loaded.path ?? 'built-in configuration'}, with REGISTRY_* applied; put the secrets where *** stands\n`,
  );
  process.stdout.write(formatConfiguration(loaded.configuration, { explain }));
  const notes = loaded.diagnostics.filter(({ level }) => level === 'note');
  const said: [level: string, message: string][] = [
    ...[...problems, ...files.problems].map((message): [string, string] => ['stop', message]),
    ...[...warnings, ...users, ...files.unreadable].map((message): [string, string] => [
      'warn',
      message,
    ]),
    ...notes.map(({ level, message }): [string, string] => [level, message]),
  ];
  for (const [level, message] of said) process.stderr.write(`${level}: ${message}\n`);
  return problems.length + files.problems.length > 0 ? 1 : 0;
}

/** What the token service will say of its users. A file that cannot be read is told of with the others. */
async function describeUsers(path: string): Promise<string[]> {
  const text = await readText(path).catch(() => undefined);
  if (text === undefined) return [];
  const { accounts, problems } = parseHtpasswd(text);
  const said = problems.map((problem) => `auth.htpasswd.path: ${path}: ${problem}`);
  return accounts.size > 0 ? said : [...said, `auth.htpasswd.path: ${path}: no user can log in`];
}
