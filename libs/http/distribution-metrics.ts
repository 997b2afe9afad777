import type { RouteId } from '#libs/api/routes.ts';
import type { Metrics } from '#libs/metrics/metrics.ts';

/** What distribution calls the handlers of the routes, in the label `handler` of its metrics. */
const handlers: Readonly<Record<RouteId, string>> = {
  base: 'base',
  catalog: 'catalog',
  listTags: 'tags',
  getManifest: 'manifest',
  putManifest: 'manifest',
  deleteManifest: 'manifest',
  listReferrers: 'referrers',
  startUpload: 'blob_upload',
  uploadStatus: 'blob_upload_chunk',
  appendUpload: 'blob_upload_chunk',
  completeUpload: 'blob_upload_chunk',
  cancelUpload: 'blob_upload_chunk',
  getBlob: 'blob',
  deleteBlob: 'blob',
};

/** As distribution's: seconds, and bytes from 1 KiB to 2 GiB. */
const durations = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 60];
const sizes = Array.from({ length: 22 }, (_, index) => 1024 * 2 ** index);

/** A request that was answered. */
export interface AnsweredRequest {
  /** The id of its route; requests without one of the API are not counted. */
  route: string | undefined;
  method: string;
  status: number;
  seconds: number;
  receivedBytes: number;
  sentBytes: number;
}

/**
 * Measures requests under the names that distribution has for them (`registry_http_…`), so that its dashboards go on.
 * @param running the routes of the requests that are being served
 * @returns to be told of each answer
 */
export function measureAsDistribution(
  metrics: Metrics,
  running: () => Iterable<string | undefined>,
): (answered: AnsweredRequest) => void {
  const requests = metrics.counter(
    'registry_http_requests_total',
    'As distribution counts them: requests, by handler, method and code',
    ['handler', 'method', 'code'],
  );
  const seconds = metrics.histogram(
    'registry_http_request_duration_seconds',
    'As distribution measures them: seconds of a request, by handler and method',
    ['handler', 'method'],
    durations,
  );
  const received = metrics.histogram(
    'registry_http_request_size_bytes',
    'As distribution measures them: bytes of request bodies, by handler',
    ['handler'],
    sizes,
  );
  const sent = metrics.histogram(
    'registry_http_response_size_bytes',
    'As distribution measures them: bytes of answers’ bodies, by handler',
    ['handler'],
    sizes,
  );
  metrics.gauge(
    'registry_http_in_flight_requests',
    'As distribution counts them: requests being served now, by handler',
    ['handler'],
    (gauge) => {
      for (const handler of new Set(Object.values(handlers))) gauge.set({ handler }, 0);
      for (const route of running()) {
        const handler = handlerOf(route);
        if (handler !== undefined) gauge.inc({ handler });
      }
    },
  );
  return ({ route, method, status, ...measured }) => {
    const handler = handlerOf(route);
    if (handler === undefined) return;
    const lower = method.toLowerCase();
    requests.inc({ handler, method: lower, code: status });
    seconds.observe({ handler, method: lower }, measured.seconds);
    received.observe({ handler }, measured.receivedBytes);
    sent.observe({ handler }, measured.sentBytes);
  };
}

function handlerOf(route: string | undefined): string | undefined {
  if (route === undefined || !Object.hasOwn(handlers, route)) return undefined;
  return handlers[route as RouteId];
}
