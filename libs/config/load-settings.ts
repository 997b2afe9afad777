import { createPolicy } from '#libs/policy/create-policy.ts';
import { ConfigurationError, problemsOf } from '../values/configuration-error.ts';
import { type LoadedConfiguration, loadConfiguration } from './load-configuration.ts';
import { checkDebugAddress } from './sections/debug.ts';
import { warnOfGarbageCollection } from './sections/garbage-collection.ts';
import { assertNetworks } from './sections/gateway.ts';
import { checkSocketPaths } from './sections/socket-paths.ts';
import { checkWorkloads, remarksOnWorkloads } from './sections/workloads.ts';
import { type ProcessInstance, type Settings, toSettings } from './settings.ts';
import { placeProblem } from './sources.ts';

/** What there is to say of a configuration before anything of it is acted on. */
export interface ConfigurationCheck {
  /** Undefined if they cannot be made. */
  settings: Settings | undefined;
  /** A sentence for each thing with which nothing starts. */
  problems: string[];
  /** A sentence for each thing that is rarely meant, or ignored. */
  warnings: string[];
}

/**
 * Judges a configuration as a whole: what is not supported, what contradicts itself, and whether everything can be
 * compiled that is compiled at the start. It looks at no file; {@link checkFiles} does.
 */
export function checkConfiguration(
  loaded: LoadedConfiguration,
  instance?: ProcessInstance,
): ConfigurationCheck {
  const of = (wanted: string) =>
    loaded.diagnostics.filter(({ level }) => level === wanted).map(({ message }) => message);
  const check: ConfigurationCheck = {
    settings: undefined,
    problems: of('stop'),
    warnings: of('warn'),
  };
  const attempt = <T>(action: () => T): T | undefined => {
    try {
      return action();
    } catch (error) {
      check.problems.push(...problemsOf(error));
      return undefined;
    }
  };
  const settings = attempt(() => toSettings(loaded, instance));
  if (settings === undefined) return check;
  const { auth, http, sockets, debug, gateway, garbage } = settings;
  check.problems.push(
    ...checkWorkloads(auth?.workloads ?? [], { hasRules: auth?.rules !== undefined }),
    ...checkSocketPaths(sockets, http.listen),
    ...checkDebugAddress(debug, http.listen),
  );
  attempt(() => assertNetworks(gateway));
  check.warnings.push(
    ...warnOfGarbageCollection(garbage),
    ...remarksOnWorkloads(auth?.workloads ?? []),
    ...remarksOnAddresses(settings),
  );
  const { portcullis } = loaded.configuration;
  // Also where the registry is open, or others make the tokens: nobody writes a rule that is to do nothing.
  attempt(() =>
    createPolicy({ rules: portcullis.acl, groups: portcullis.groups }, (message) =>
      check.warnings.push(message),
    ),
  );
  if (portcullis.acl !== undefined && auth === undefined) {
    const isMeant = loaded.configuration.auth !== undefined;
    if (isMeant) {
      check.warnings.push(
        'portcullis.acl: without auth.htpasswd no tokens are made here, so no rule is asked',
      );
    } else {
      check.problems.push(
        'portcullis.acl: without auth everybody may do everything, and no rule is asked; configure auth.htpasswd, or write auth: none if that is meant',
      );
    }
  }
  return { ...check, settings };
}

/** Addresses that clients are given, and that lead them astray. */
function remarksOnAddresses({ http, externalIssuer }: Settings): string[] {
  const remarks: string[] = [];
  if (http.tls !== undefined && http.publicUrl?.startsWith('http:') === true) {
    remarks.push(
      `http.host: ${http.publicUrl} has clients log in by plain http, though http.tls is there; write https://`,
    );
  }
  const realm = externalIssuer?.realm;
  if (realm !== undefined && !/^https?:\/\/[^/]/i.test(realm)) {
    remarks.push(
      `auth.token.realm: "${realm}" is not a URL such as https://auth.example.com/token; clients cannot log in there`,
    );
  }
  return remarks;
}

/**
 * Loads a configuration that is to be acted on.
 * @throws ConfigurationError with every problem found
 */
export async function loadSettings(
  path: string | undefined,
  instance?: ProcessInstance,
): Promise<{ loaded: LoadedConfiguration; settings: Settings; warnings: string[] }> {
  return usableSettings(await loadConfiguration(path), instance);
}

/**
 * What a loaded configuration comes to, if it is to be acted on.
 * @throws ConfigurationError with every problem found
 */
export function usableSettings(
  loaded: LoadedConfiguration,
  instance?: ProcessInstance,
): { loaded: LoadedConfiguration; settings: Settings; warnings: string[] } {
  const { settings, problems, warnings } = checkConfiguration(loaded, instance);
  if (settings === undefined || problems.length > 0) {
    throw new ConfigurationError(problems.map((problem) => placeProblem(problem, loaded)));
  }
  return { loaded, settings, warnings };
}
