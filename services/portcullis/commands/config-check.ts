import { lookup } from 'node:dns/promises';
import { formatConfiguration } from '#libs/config/format-configuration.ts';
import { loadConfiguration } from '#libs/config/load-configuration.ts';
import { checkConfiguration } from '#libs/config/load-settings.ts';
import type { Settings } from '#libs/config/settings.ts';
import { placeProblem } from '#libs/config/sources.ts';
import { services } from '#libs/values/service-name.ts';
import { checkFiles } from '../check-files.ts';

export interface ConfigCheckOptions {
  config: string | undefined;
  /** Says what each key means. */
  explain: boolean;
  /** Says only what is wrong. */
  quiet: boolean;
  /**
   * Looks into the state of the token service, the last thing that is done.
   * @returns why it could not
   * @throws Error with one clear sentence about what keeps it from starting
   */
  checkState: (settings: Settings) => Promise<string | undefined>;
}

/**
 * What is in effect, what of it will not be acted on, and whether `serve` would start with it: by the same code.
 * @returns the exit code
 */
export async function configCheck({
  config,
  explain,
  quiet,
  checkState,
}: ConfigCheckOptions): Promise<number> {
  const loaded = await loadConfiguration(config);
  if (config === undefined && loaded.path !== undefined) {
    process.stderr.write(`using ${loaded.path}, which serve would take\n`);
  }
  const { settings, problems, warnings } = checkConfiguration(loaded);
  const files =
    settings === undefined
      ? { problems: [], unreadable: [], warnings: [] }
      : await checkFiles(settings, services);
  const unresolved = await describeUnresolved(settings);
  if (settings !== undefined) {
    const unknown = await checkState(settings).catch(
      ({ message }: Error) => void files.problems.push(message),
    );
    if (unknown !== undefined) files.warnings.push(unknown);
  }
  const print = (text: string) => quiet || process.stdout.write(text);
  print(
    `# ${loaded.path ?? 'built-in configuration'}, with REGISTRY_* applied; put the secrets where *** stands\n`,
  );
  print(formatConfiguration(loaded.configuration, { explain }));
  const notes = loaded.diagnostics.filter(({ level }) => level === 'note');
  const said: [level: string, message: string][] = [
    ...[...problems, ...files.problems].map((message): [string, string] => [
      'stop',
      placeProblem(message, { sources: loaded.sources }),
    ]),
    ...[...warnings, ...files.unreadable, ...files.warnings, ...unresolved].map(
      (message): [string, string] => ['warn', message],
    ),
    ...notes.map(({ level, message }): [string, string] => [level, message]),
  ];
  for (const [level, message] of said) process.stderr.write(`${level}: ${message}\n`);
  return problems.length + files.problems.length > 0 ? 1 : 0;
}

/** The name to listen on that this machine does not know: it need not be the one that serves. */
async function describeUnresolved(settings: Settings | undefined): Promise<string[]> {
  const { listen } = settings?.http ?? {};
  if (listen === undefined || !('port' in listen) || listen.host === undefined) return [];
  const { host } = listen;
  const isKnown = host === '' || (await lookup(host).then(Boolean, () => false));
  return isKnown ? [] : [`http.addr: ${host} does not resolve here; serve would stop`];
}
