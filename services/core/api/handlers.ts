import type { RouteId } from '#libs/api/routes.ts';
import type { Registry } from '../registry/registry.ts';
import { base } from './base.ts';
import { deleteBlob, getBlob } from './blobs.ts';
import { listCatalog } from './catalog.ts';
import type { Handler } from './handler.ts';
import { deleteManifest, getManifest, putManifest } from './manifests.ts';
import type { PullFilter } from './pull-filter.ts';
import { listReferrers } from './referrers.ts';
import { listTags } from './tags.ts';
import {
  appendUpload,
  cancelUpload,
  completeUpload,
  startUpload,
  uploadStatus,
} from './uploads.ts';

export interface HandlerOptions {
  registry: Registry;
  deleteEnabled: boolean;
  pageSize: { catalog: number; tags: number };
  /** Undefined in an open registry: everyone sees everything. */
  pullFilter: PullFilter | undefined;
}

/** One handler for each row of the route table. */
export function createHandlers(options: HandlerOptions): Record<RouteId, Handler> {
  const { registry, deleteEnabled, pageSize, pullFilter } = options;
  return {
    base,
    catalog: listCatalog(registry, pullFilter, pageSize.catalog),
    listTags: listTags(registry, pageSize.tags),
    getManifest: getManifest(registry),
    putManifest: putManifest(registry),
    deleteManifest: deleteManifest(registry, deleteEnabled),
    listReferrers: listReferrers(registry, pageSize.tags),
    startUpload: startUpload(registry, pullFilter),
    uploadStatus: uploadStatus(registry),
    appendUpload: appendUpload(registry),
    completeUpload: completeUpload(registry),
    cancelUpload: cancelUpload(registry),
    getBlob: getBlob(registry),
    deleteBlob: deleteBlob(registry, deleteEnabled),
  };
}
