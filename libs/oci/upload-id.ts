import { randomUUID } from 'node:crypto';
import { RegistryError } from './errors.ts';

/** The name of an upload session: a UUID, as the original registry makes them. */
export type UploadId = string & { readonly __brand: 'UploadId' };

const pattern = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

export function createUploadId(): UploadId {
  return randomUUID() as UploadId;
}

export function isUploadId(text: string): text is UploadId {
  return pattern.test(text);
}

/** @throws RegistryError BLOB_UPLOAD_UNKNOWN: what is no id names no session. */
export function parseUploadId(text: string): UploadId {
  if (isUploadId(text)) return text;
  throw new RegistryError('BLOB_UPLOAD_UNKNOWN');
}
