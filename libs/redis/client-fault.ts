/** Opens the connections of one client anew. */
type Reopen = (error: Error) => void;

const clients = new Set<Reopen>();

/** @returns to be called when there is no client any more */
export function onClientFault(reopen: Reopen): () => void {
  clients.add(reopen);
  return () => void clients.delete(reopen);
}

/**
 * The Redis library throws where nobody can catch it when a server's answer has a shape that it does not expect. Its
 * connections are in no known state then, and are opened anew.
 * @returns false for any other exception
 */
export function recoverFromClientFault(error: unknown): boolean {
  if (!(error instanceof Error) || !isThrownByLibrary(error)) return false;
  for (const reopen of clients) reopen(error);
  return true;
}

function isThrownByLibrary({ stack = '' }: Error): boolean {
  const frames = stack.split('\n').filter((line) => /^\s+at /.test(line));
  const thrower = frames.find((line) => !/\(?node:|<anonymous>\)?$/.test(line)) ?? '';
  return /[\\/]node_modules[\\/](?:ioredis|redis-parser|standard-as-callback)[\\/]/.test(thrower);
}
