import type { RouteId } from '#libs/api/routes.ts';
import type { CoreBudgets } from '../budgets.ts';
import type { Registry } from '../registry/registry.ts';
import { base } from './base.ts';
import { deleteBlob, getBlob } from './blobs.ts';
import { listCatalog } from './catalog.ts';
import { createCursors } from './cursor.ts';
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
import type { VisibleTree } from './visible-tree.ts';

export interface HandlerOptions {
  registry: Registry;
  deleteEnabled: boolean;
  pageSize: { catalog: number; tags: number };
  /** Undefined in an open registry: everyone sees everything. */
  pullFilter: PullFilter | undefined;
  budgets: CoreBudgets;
  /** Descriptors a manifest may have. */
  maxDescriptors: number;
  /** Undefined where gateways cannot see it. */
  tree?: VisibleTree | undefined;
  /** What all cores share, for what only they can read; undefined: this core alone reads it. */
  secret?: string | undefined;
}

/** One handler for each row of the route table. */
export function createHandlers(options: HandlerOptions): Record<RouteId, Handler> {
  const {
    registry,
    deleteEnabled,
    pageSize,
    pullFilter: filter,
    budgets,
    maxDescriptors,
  } = options;
  const cursors = createCursors(options.secret);
  return {
    base,
    catalog: listCatalog({ registry, filter, pageSize: pageSize.catalog, budgets, cursors }),
    listTags: listTags(registry, pageSize.tags, budgets),
    getManifest: getManifest(registry, budgets, options.tree),
    putManifest: putManifest(registry, { budgets, maxDescriptors }),
    deleteManifest: deleteManifest(registry, deleteEnabled),
    listReferrers: listReferrers(registry, pageSize.tags, budgets),
    startUpload: startUpload(registry, options.tree),
    uploadStatus: uploadStatus(registry),
    appendUpload: appendUpload(registry, options.tree),
    completeUpload: completeUpload(registry, options.tree),
    cancelUpload: cancelUpload(registry),
    getBlob: getBlob(registry, budgets, options.tree),
    deleteBlob: deleteBlob(registry, deleteEnabled),
  };
}
