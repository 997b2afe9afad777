/** Flags of the original's `garbage-collect`, which Go's parser lets have a value. */
const goFlag =
  /^(?<flag>--(?:dry-run|delete-untagged|quiet)|-[dmq])=(?:(?<yes>true|t|1)|false|f|0)$/i;

/** A key's ID, an RFC 7638 thumbprint in base64url, that looks like an option. */
const dashedKeyId = /^-[\w-]{42}$/;

/**
 * What the command line understands besides what its table says: a configuration file alone means `serve`, nothing at
 * all means `--help`, flags of the original may have a value, and key IDs may begin with a dash.
 */
export function prepareArguments(given: readonly string[]): string[] {
  const [first, second] = given;
  if (first === undefined) return ['--help'];
  if (/\.ya?ml$/.test(first)) return ['serve', ...given];
  if (first === 'garbage-collect') return given.flatMap(withoutValue);
  if (first !== 'keys' || second !== 'revoke') return [...given];
  const ids = given.filter((argument) => dashedKeyId.test(argument));
  if (ids.length === 0) return [...given];
  const others = given.filter((argument) => !ids.includes(argument) && argument !== '--');
  return [...others, '--', ...ids];
}

function withoutValue(argument: string): string[] {
  const { flag, yes } = goFlag.exec(argument)?.groups ?? {};
  if (flag === undefined) return [argument];
  return yes === undefined ? [] : [flag];
}
