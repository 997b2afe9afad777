import type { Remark } from './remark.ts';

type Environment = Readonly<Record<string, string | undefined>>;

/** Sections below `portcullis` by their names in earlier versions, which are still read. */
const formerNames: Readonly<Record<string, string>> = { hop: 'internal' };

/**
 * Gives what stands under a former name its present one, in the file's tree and in the environment.
 * @param tree changed in place
 * @returns the environment with present names, a warning for each section found under a former one, and a problem
 *   where one stands there under both, of the file and of the environment
 */
export function replaceFormerNames(
  tree: Record<string, unknown>,
  env: Environment,
): { env: Environment; warnings: Remark[]; problems: Remark[]; problemsOfEnv: Remark[] } {
  const warnings: Remark[] = [];
  const problems: Remark[] = [];
  const problemsOfEnv: Remark[] = [];
  const renamed: Record<string, string | undefined> = { ...env };
  for (const [former, present] of Object.entries(formerNames)) {
    const [from, to] = [former, present].map((name) => `REGISTRY_PORTCULLIS_${name.toUpperCase()}`);
    for (const [name, value] of Object.entries(env)) {
      if (name !== from && !name.startsWith(`${from}_`)) continue;
      const presentName = `${to}${name.slice(from?.length)}`;
      if (env[presentName] !== undefined) {
        problemsOfEnv.push({ path: name, why: `is called ${presentName} now, which is set too` });
      }
      renamed[presentName] = value;
      delete renamed[name];
      warnings.push({ path: name, why: `is called ${presentName} now` });
    }
    const { portcullis } = tree;
    if (typeof portcullis !== 'object' || portcullis === null) continue;
    const sections = portcullis as Record<string, unknown>;
    if (!Object.hasOwn(sections, former)) continue;
    if (Object.hasOwn(sections, present)) {
      const why = `is called portcullis.${present} now, which is there too`;
      problems.push({ path: `portcullis.${former}`, why });
      continue;
    }
    sections[present] = sections[former];
    delete sections[former];
    warnings.push({
      path: `portcullis.${former}`,
      why: `is called portcullis.${present} now`,
    });
  }
  return { env: renamed, warnings, problems, problemsOfEnv };
}
