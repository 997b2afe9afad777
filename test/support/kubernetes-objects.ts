import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseAllDocuments } from 'yaml';

export interface KubernetesObject {
  /** From the folder of all. */
  file: string;
  apiVersion: string;
  kind: string;
  name: string;
  // biome-ignore lint/suspicious/noExplicitAny: the schema is what the tests compare it with
  body: any;
}

const folder = fileURLToPath(new URL('../../compose/kubernetes/', import.meta.url));

/** Every object in compose/kubernetes. */
export function kubernetesObjects(): KubernetesObject[] {
  return globSync('**/*.yaml', { cwd: folder })
    .sort()
    .flatMap((file) =>
      parseAllDocuments(readFileSync(join(folder, file), 'utf8'), { merge: true }).map(
        (document) => {
          const body = document.toJS({ maxAliasCount: 100 });
          const { apiVersion, kind, metadata } = body;
          return { file, apiVersion, kind, name: metadata?.name ?? '', body };
        },
      ),
    );
}
