/** The configuration that the environment names, by our own variable or the original's; undefined if it names none. */
export function namedByEnvironment(
  env: Readonly<Record<string, string | undefined>> = process.env,
): string | undefined {
  return env.PORTCULLIS_CONFIG || env.REGISTRY_CONFIGURATION_PATH || undefined;
}

/** Which of the two variables it is that names a configuration; our own comes first. */
export function nameOfVariable(
  env: Readonly<Record<string, string | undefined>> = process.env,
): string {
  return env.PORTCULLIS_CONFIG ? 'PORTCULLIS_CONFIG' : 'REGISTRY_CONFIGURATION_PATH';
}
