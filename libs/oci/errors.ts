/**
 * The error codes of the distribution specification ("Error Codes") and the few that the original
 * registry added, with the HTTP status each one travels under. `docs/errors.md` lists the same rows.
 */
export const errorCodes = {
  BLOB_UNKNOWN: { status: 404, message: 'blob unknown to registry' },
  BLOB_UPLOAD_INVALID: { status: 400, message: 'blob upload invalid' },
  BLOB_UPLOAD_UNKNOWN: { status: 404, message: 'blob upload unknown to registry' },
  DIGEST_INVALID: { status: 400, message: 'provided digest did not match uploaded content' },
  MANIFEST_BLOB_UNKNOWN: { status: 404, message: 'manifest references a blob unknown to registry' },
  MANIFEST_INVALID: { status: 400, message: 'manifest invalid' },
  MANIFEST_UNKNOWN: { status: 404, message: 'manifest unknown' },
  NAME_INVALID: { status: 400, message: 'invalid repository name' },
  NAME_UNKNOWN: { status: 404, message: 'repository name not known to registry' },
  SIZE_INVALID: { status: 400, message: 'provided length did not match content length' },
  UNAUTHORIZED: { status: 401, message: 'authentication required' },
  DENIED: { status: 403, message: 'requested access to the resource is denied' },
  UNSUPPORTED: { status: 405, message: 'the operation is unsupported' },
  TOOMANYREQUESTS: { status: 429, message: 'too many requests' },
  TAG_INVALID: { status: 400, message: 'manifest tag is not valid' },
  RANGE_INVALID: { status: 416, message: 'invalid content range' },
  PAGINATION_NUMBER_INVALID: { status: 400, message: 'invalid number of results requested' },
  PRECONDITION_FAILED: { status: 412, message: 'the condition of the request does not hold' },
  CONTENT_TOO_LARGE: { status: 413, message: 'request body too large' },
  REQUEST_INVALID: { status: 400, message: 'the request is malformed' },
  REQUEST_TIMEOUT: { status: 408, message: 'the request took too long to arrive' },
  NOT_FOUND: { status: 404, message: 'no such endpoint' },
  UNAVAILABLE: { status: 503, message: 'service unavailable' },
  UNKNOWN: { status: 500, message: 'unknown error' },
} as const;

export type ErrorCode = keyof typeof errorCodes;

export interface RegistryErrorOptions {
  /** Replaces the code's general message; written for the person at the client. */
  message?: string;
  /** Goes to the client as `detail`; never a secret, never a path of the server. */
  detail?: unknown;
  /** For the log only. */
  cause?: unknown;
  /** Seconds after which trying again makes sense; sent as `Retry-After`. */
  retryAfter?: number;
  /** That the log has its cause already, once, and need not say it with each request. */
  isLogged?: boolean;
}

/** An error the client is told about, by one of the codes above. */
export class RegistryError extends Error {
  readonly code: ErrorCode;
  readonly detail: unknown;
  readonly retryAfter: number | undefined;
  readonly isLogged: boolean;

  constructor(code: ErrorCode, options: RegistryErrorOptions = {}) {
    super(
      options.message ?? errorCodes[code].message,
      options.cause === undefined ? undefined : { cause: options.cause },
    );
    this.name = 'RegistryError';
    this.code = code;
    this.detail = options.detail;
    this.retryAfter = options.retryAfter;
    this.isLogged = options.isLogged ?? false;
  }

  get status(): number {
    return errorCodes[this.code].status;
  }
}
