import type { IncomingHttpHeaders } from 'node:http';
import type { FileState } from '#libs/files/file-state.ts';
import { internalHeaders } from './internal-headers.ts';

/** A file that an answer was made of, as it was then. */
export interface FileValidator {
  /** Below the folder of the tree, such as `repositories/<name>/_layers/<algorithm>/<digits>/link`. */
  path: string;
  state: FileState;
}

/** The value of the header that names the files an answer was made of (docs/adr/0020). */
export function formatFileValidators(files: readonly FileValidator[]): string {
  return files
    .map(({ path, state: { device, inode, size, modified, changed } }) =>
      [path, device, inode, size, modified, changed].join(';'),
    )
    .join(',');
}

/** Files that an answer may name; the most that one has is five: a tag, and link and bytes of a list and of its image. */
const most = 6;

const form =
  /^((?:repositories|blobs)(?:\/[\w.-]+)+);(\d{1,20});(\d{1,20});(\d{1,20});(\d{1,20});(\d{1,20})$/;

/** @returns undefined where an answer names none, or something that no core of ours would */
export function fileValidatorsIn(
  headers: IncomingHttpHeaders,
): readonly FileValidator[] | undefined {
  const value = headers[internalHeaders.validators];
  if (typeof value !== 'string') return undefined;
  const files = value.split(',').map(parse);
  if (files.length > most) return undefined;
  return files.every((file) => file !== undefined) ? files : undefined;
}

function parse(text: string): FileValidator | undefined {
  const match = form.exec(text);
  if (match === null) return undefined;
  const [path = '', ...numbers] = match.slice(1);
  if (path.split('/').some((part) => part === '..' || part === '.')) return undefined;
  const [device = 0n, inode = 0n, size = 0n, modified = 0n, changed = 0n] = numbers.map(BigInt);
  return { path, state: { device, inode, size, modified, changed } };
}
