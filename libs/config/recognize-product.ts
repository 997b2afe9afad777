type Tree = Readonly<Record<string, unknown>>;

/** Keys by which a configuration is known to be another product's. */
const products: readonly [name: string, hasKeys: (tree: Tree) => boolean][] = [
  ['zot', (tree) => 'distSpecVersion' in tree],
  ['Harbor', (tree) => 'harbor_admin_password' in tree || 'harbor_db' in tree],
  ['docker compose', (tree) => 'services' in tree && !('storage' in tree)],
  ['docker_auth', (tree) => 'token' in tree && 'server' in tree && !('storage' in tree)],
];

/** Whose configuration a file is that is not one of a registry like the original; undefined if nobody's we know. */
export function recognizeProduct(tree: Tree): string | undefined {
  return products.find(([, hasKeys]) => hasKeys(tree))?.[0];
}
