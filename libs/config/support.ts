import type { Configuration } from './configuration.ts';
import { authSupport } from './sections/auth.ts';
import { httpSupport } from './sections/http.ts';
import { logSupport } from './sections/log.ts';
import { storageSupport } from './sections/storage.ts';
import { unsupportedRows } from './sections/unsupported.ts';
import { validationSupport } from './sections/validation.ts';
import type { Diagnostic, SupportRow } from './support-row.ts';

/** Rows of a section, which is found in the whole. */
function rowsOf<Section>(
  rows: readonly SupportRow<Section>[],
  sectionOf: (configuration: Configuration) => Section,
): SupportRow<Configuration>[] {
  return rows.map(([path, level, why, found]) => [path, level, why, (c) => found(sectionOf(c))]);
}

const rules: readonly SupportRow<Configuration>[] = [
  ...rowsOf(logSupport, ({ log }) => log),
  ...rowsOf(storageSupport, ({ storage }) => storage),
  ...rowsOf(authSupport, ({ auth }) => auth),
  ...rowsOf(httpSupport, ({ http }) => http),
  ...rowsOf(validationSupport, ({ validation }) => validation),
  ...unsupportedRows,
];

/** The rows without their tests, for the documentation. */
export const supportTable = rules.map(([path, level, why]) => ({ path, level, why }));

/** What of this configuration is not supported; empty values count as absent. */
export function checkSupport(configuration: Configuration): Diagnostic[] {
  return rules
    .filter(([path, , , found]) => {
      const value = found(configuration);
      const waived = (configuration.portcullis.ignore as string[]).includes(path);
      return value !== undefined && value !== null && value !== false && !waived;
    })
    .map(([path, level, why]) => ({ level, path, message: `${path}: ${why}` }));
}
