import { readText, readTextOrPipe } from '../files/read-text.ts';
import { ConfigurationError } from '../values/configuration-error.ts';
import { Secret } from '../values/secret.ts';
import { checkUnknownKeys } from './check-unknown-keys.ts';
import { type Configuration, configurationSchema } from './configuration.ts';
import { describeIssue } from './describe-issue.ts';
import { settleEmptyValues } from './empty-values.ts';
import { applyEnvironment } from './environment.ts';
import { replaceFormerNames } from './former-names.ts';
import { namedByEnvironment } from './named-by-environment.ts';
import { parseYaml, YamlError } from './parse-yaml.ts';
import { recognizeProduct } from './recognize-product.ts';
import { formatRemark } from './remark.ts';
import { checkMethod } from './sections/auth.ts';
import { checkDriver, storageDrivers } from './sections/storage.ts';
import { placeProblem, type Sources } from './sources.ts';
import { checkSupport } from './support.ts';
import type { Diagnostic } from './support-row.ts';
import { formatPath, unknownKeys } from './walk-schema.ts';

type Environment = Readonly<Record<string, string | undefined>>;

/** What a configuration is made of, beside the environment. */
export interface ConfigurationSource {
  /** The file it came from; undefined for the built-in configuration and the environment alone. */
  path: string | undefined;
  /** What was in the file. */
  text: string | undefined;
}

export interface LoadedConfiguration extends ConfigurationSource {
  configuration: Configuration;
  /** What `portcullis.internal.secretfile` holds, where `http.secret` is not given. */
  fileSecret: Secret | undefined;
  diagnostics: Diagnostic[];
  /** The variables of the environment that set something of it. */
  sources: Sources;
}

/** Where the original's images keep their configuration. */
const wellKnownPaths = ['/etc/docker/registry/config.yml', '/etc/distribution/config.yml'];

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
 * @param given the path asked for; without it that of the environment, the original's places,
 *   and at last the built-in configuration are taken
 * @throws ConfigurationError with all that is wrong with its form
 */
export async function loadConfiguration(
  given: string | undefined,
  env: Environment = process.env,
): Promise<LoadedConfiguration> {
  return await parseConfiguration(await readSource(given ?? namedByEnvironment(env)), env);
}

/**
 * The same of what was read before, or is to become a file.
 * @throws ConfigurationError with every problem found
 */
export async function parseConfiguration(
  { path, text }: ConfigurationSource,
  env: Environment = process.env,
): Promise<LoadedConfiguration> {
  const tree =
    text === undefined ? structuredClone(builtIn) : parseTree(text, path ?? 'the configuration');
  return { path, text, ...(await configure(tree, path, env)) };
}

async function configure(
  tree: Record<string, unknown>,
  path: string | undefined,
  env: Environment,
): Promise<Omit<LoadedConfiguration, 'path' | 'text'>> {
  const where = path === undefined ? '' : `${path}: `;
  const product = recognizeProduct(tree);
  if (product !== undefined) {
    const hint =
      product === 'docker compose'
        ? 'name the config.yml that it mounts into the registry'
        : 'docs/migration.md tells what of it stands where in a config.yml';
    throw new ConfigurationError([`${where}this is a configuration of ${product}; ${hint}`]);
  }
  // All that is wrong with its form is told at once; what its values come to together is judged when that is right.
  const former = replaceFormerNames(tree, env);
  const problems = [...former.problems.map((one) => where + formatRemark(one))];
  problems.push(...former.problemsOfEnv.map(formatRemark));
  const applied = applyEnvironment(tree, configurationSchema, former.env);
  const { sources } = applied;
  problems.push(...applied.problems.map(formatRemark));
  const placed = (problem: string) => placeProblem(problem, { path, sources });
  expandBareNames(tree);
  lowerLevels(tree);
  const empty = settleEmptyValues(tree, configurationSchema);
  const unknown = checkUnknownKeys(unknownKeys(tree, configurationSchema));
  problems.push(...[...empty, ...unknown.problems].map(formatRemark).map(placed));
  problems.push(...checkSections(tree).map(placed));
  const result = configurationSchema.safeParse(tree);
  if (!result.success) {
    for (const issue of result.error.issues) {
      const path = formatPath(issue.path);
      // What is told to be empty need not be told to be missing.
      if (empty.some((one) => one.path === path)) continue;
      // A key that is unknown there is told by its own path.
      const isTold = unknown.problems.some((one) => one.path.startsWith(`${path}.`));
      if (issue.code === 'unrecognized_keys' && isTold) continue;
      problems.push(placed(`${path}: ${describeIssue(issue, tree)}`));
    }
  }
  if (!result.success || problems.length > 0) throw new ConfigurationError(problems);
  const fileSecret = await readSecretFile(result.data);
  return {
    configuration: result.data,
    fileSecret,
    sources,
    diagnostics: [
      ...[...former.warnings, ...applied.warnings, ...unknown.warnings].map(
        (one): Diagnostic => ({ level: 'warn', path: one.path, message: formatRemark(one) }),
      ),
      ...checkSupport(result.data),
    ],
  };
}

/** Whether one driver and one method are chosen, of those sections in which nothing else is wrong. */
function checkSections(tree: Record<string, unknown>): string[] {
  const { shape } = configurationSchema;
  const storage = shape.storage.safeParse(tree.storage);
  const auth = shape.auth.safeParse(tree.auth);
  return [
    ...(storage.success ? checkDriver(storage.data, tree.storage) : []),
    ...(auth.success ? checkMethod(auth.data, tree.auth) : []),
  ];
}

async function readSource(path: string | undefined): Promise<ConfigurationSource> {
  for (const candidate of path === undefined ? wellKnownPaths : [path]) {
    try {
      return { path: candidate, text: await readTextOrPipe(candidate) };
    } catch (error) {
      const { message, cause } = error as Error;
      if (path === undefined && (cause as NodeJS.ErrnoException).code === 'ENOENT') continue;
      throw new ConfigurationError([message], { cause });
    }
  }
  return { path: undefined, text: undefined };
}

function parseTree(text: string, path: string): Record<string, unknown> {
  let tree: unknown;
  try {
    tree = parseYaml(text);
  } catch (error) {
    if (!(error instanceof YamlError)) throw error;
    const where = error.line === undefined ? '' : `line ${error.line}: `;
    throw new ConfigurationError([`${path}: ${where}${error.message}`], { cause: error });
  }
  if (typeof tree !== 'object' || tree === null || Array.isArray(tree)) {
    const what = tree == null ? 'is empty' : 'is not a mapping of settings';
    throw new ConfigurationError([`${path}: the file ${what}; it begins as "version: 0.1"`]);
  }
  return tree as Record<string, unknown>;
}

/** `storage: inmemory` and `auth: htpasswd` stand for the section of that name. */
function expandBareNames(tree: Record<string, unknown>): void {
  for (const key of ['storage', 'auth']) {
    const value = tree[key];
    if (typeof value === 'string') tree[key] = { [value]: {} };
  }
  // `none:` has nothing below it.
  const auth = tree.auth as Record<string, unknown> | null | undefined;
  if (typeof auth === 'object' && auth !== null && auth.none === null) auth.none = {};
  const storage = tree.storage;
  if (typeof storage !== 'object' || storage === null) return;
  const drivers = storage as Record<string, unknown>;
  for (const name of Object.keys(storageDrivers)) {
    // `filesystem:` with nothing below it is that driver with its defaults.
    if (Object.hasOwn(drivers, name) && drivers[name] === null) drivers[name] = {};
  }
}

/** Levels of the log are taken in any case, as the original takes them. */
function lowerLevels(tree: Record<string, unknown>): void {
  const { log } = tree;
  const sections = [tree, ...(typeof log === 'object' && log !== null ? [log] : [])];
  for (const section of sections as Record<string, unknown>[]) {
    for (const key of ['loglevel', 'level']) {
      const value = section[key];
      if (typeof value === 'string') section[key] = value.toLowerCase();
    }
  }
}

/** What a file holds stands for `http.secret`, unless that is given. */
async function readSecretFile({ http, portcullis }: Configuration): Promise<Secret | undefined> {
  const path = portcullis.internal.secretfile;
  if (path === undefined || http.secret !== undefined) return undefined;
  const text = await readText(path, 'portcullis.internal.secretfile').catch((cause: Error) => {
    throw new ConfigurationError([cause.message], { cause });
  });
  return new Secret(text);
}
