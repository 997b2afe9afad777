import { readFile } from 'node:fs/promises';
import { parseDocument } from 'yaml';
import { applyEnvironment } from './environment.ts';
import { type Configuration, configurationSchema } from './schema/configuration.ts';
import { storageDrivers } from './schema/storage.ts';
import { unknownKeys } from './schema/walk.ts';
import { checkSupport, type Remark } from './support.ts';

type Environment = Readonly<Record<string, string | undefined>>;

export interface LoadedConfiguration {
  configuration: Configuration;
  /** The file it came from; undefined for the built-in configuration and the environment alone. */
  path: string | undefined;
  remarks: Remark[];
}

/** A configuration that cannot be used; the message is one line for each problem. */
export class ConfigurationError extends Error {
  constructor(problems: readonly string[], options?: ErrorOptions) {
    super(problems.join('\n'), options);
    this.name = 'ConfigurationError';
  }
}

/** Where the original's images keep their configuration. */
const wellKnownPaths = ['/etc/docker/registry/config.yml', '/etc/distribution/config.yml'];

/** The configuration that the environment names; undefined if it names none. */
export function namedByEnvironment(env: Environment = process.env): string | undefined {
  return env.REGISTRY_CONFIGURATION_PATH;
}

/** What registry:2 ships, so that `REGISTRY_*` variables alone are enough. */
const builtIn = {
  version: '0.1',
  log: { fields: { service: 'registry' } },
  storage: { filesystem: { rootdirectory: '/var/lib/registry' } },
  http: { addr: ':5000', headers: { 'X-Content-Type-Options': ['nosniff'] } },
  health: { storagedriver: { enabled: true, interval: '10s', threshold: 3 } },
};

/**
 * Reads config.yml, lays the environment over it and validates the whole.
 * @param given the path asked for; without it `REGISTRY_CONFIGURATION_PATH`, the original's places,
 *   and at last the built-in configuration are taken
 * @throws ConfigurationError with every problem found
 */
export async function loadConfiguration(
  given: string | undefined,
  env: Environment = process.env,
): Promise<LoadedConfiguration> {
  const { tree, path } = await readTree(given ?? namedByEnvironment(env));
  const where = path === undefined ? '' : `${path}: `;
  let warnings: string[];
  try {
    warnings = applyEnvironment(tree, configurationSchema, env);
  } catch (error) {
    throw new ConfigurationError([(error as Error).message], { cause: error });
  }
  expandBareNames(tree);
  const result = configurationSchema.safeParse(tree);
  if (!result.success) {
    throw new ConfigurationError(
      result.error.issues.map((issue) => `${where}${formatPath(issue.path)}: ${issue.message}`),
    );
  }
  const problems = checkDrivers(result.data);
  if (problems.length > 0) throw new ConfigurationError(problems.map((text) => where + text));
  await readSecretFile(result.data);
  const unknown = unknownKeys(tree, configurationSchema).map(
    (key) => `${key}: unknown key; ignored`,
  );
  return {
    configuration: result.data,
    path,
    remarks: [
      ...[...warnings, ...unknown].map(
        (message): Remark => ({ level: 'warn', path: message.split(':', 1)[0] ?? '', message }),
      ),
      ...checkSupport(result.data),
    ],
  };
}

async function readTree(
  path: string | undefined,
): Promise<{ tree: Record<string, unknown>; path: string | undefined }> {
  for (const candidate of path === undefined ? wellKnownPaths : [path]) {
    let text: string;
    try {
      text = await readFile(candidate, 'utf8');
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException;
      if (path === undefined && code === 'ENOENT') continue;
      const why = code === 'ENOENT' ? 'there is no such file' : message;
      throw new ConfigurationError([`${candidate}: ${why}`], { cause: error });
    }
    return { tree: parseTree(text, candidate), path: candidate };
  }
  return { tree: structuredClone(builtIn), path: undefined };
}

function parseTree(text: string, path: string): Record<string, unknown> {
  const document = parseDocument(text, { prettyErrors: true });
  const [error] = document.errors;
  if (error !== undefined) {
    const line = error.linePos?.[0].line;
    const message = error.message.split('\n', 1)[0] ?? '';
    throw new ConfigurationError([`${path}: line ${line}: ${message.replace(/ at line.*$/, '')}`]);
  }
  const tree: unknown = document.toJS({ maxAliasCount: 100 });
  if (typeof tree !== 'object' || tree === null || Array.isArray(tree)) {
    throw new ConfigurationError([`${path}: the file is not a mapping of settings`]);
  }
  return tree as Record<string, unknown>;
}

/** `storage: inmemory` and `auth: htpasswd` stand for the section of that name. */
function expandBareNames(tree: Record<string, unknown>): void {
  for (const key of ['storage', 'auth']) {
    const value = tree[key];
    if (typeof value === 'string') tree[key] = { [value]: {} };
  }
  const storage = tree.storage;
  if (typeof storage !== 'object' || storage === null) return;
  const drivers = storage as Record<string, unknown>;
  for (const name of Object.keys(storageDrivers)) {
    // `filesystem:` with nothing below it is that driver with its defaults.
    if (Object.hasOwn(drivers, name) && drivers[name] === null) drivers[name] = {};
  }
}

function checkDrivers({ storage, auth }: Configuration): string[] {
  const names = Object.keys(storageDrivers) as (keyof typeof storageDrivers)[];
  const chosen = names.filter((name) => storage[name] !== undefined);
  const problems: string[] = [];
  if (chosen.length === 0) problems.push('storage: name one driver, such as filesystem');
  if (chosen.length > 1) {
    problems.push(`storage: several drivers are named (${chosen.join(', ')}); keep one`);
  }
  if (auth !== undefined) {
    const methods = Object.keys(auth);
    if (methods.length !== 1) {
      problems.push(
        `auth: name exactly one method, such as htpasswd (found: ${methods.join(', ') || 'none'})`,
      );
    }
  }
  return problems;
}

/** What a file holds stands for `http.secret`, unless that is given. */
async function readSecretFile({ http, portcullis }: Configuration): Promise<void> {
  const path = portcullis.hop.secretfile;
  // A file's last line end is no part of it, however it came here.
  if (http.secret !== undefined) http.secret = http.secret.trim();
  if (path === undefined || http.secret !== undefined) return;
  try {
    http.secret = (await readFile(path, 'utf8')).trim();
  } catch (error) {
    const { message } = error as Error;
    throw new ConfigurationError(
      [`portcullis.hop.secretfile: ${path} cannot be read: ${message}`],
      {
        cause: error,
      },
    );
  }
}

function formatPath(path: readonly PropertyKey[]): string {
  return path
    .map((part, index) =>
      typeof part === 'number' ? `[${part}]` : `${index > 0 ? '.' : ''}${String(part)}`,
    )
    .join('');
}
