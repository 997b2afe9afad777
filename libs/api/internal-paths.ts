/** Where our processes ask each other; to strangers these do not exist. */
export const internalPaths = {
  /** GET at a token service: the keys and revocations that verifiers need. */
  keySet: '/internal/trust',
  /** POST at a token service: which of many repositories a caller may pull. */
  pullFilter: '/internal/filter',
  /** GET at any process: its failing checks. */
  health: '/internal/health',
  /** GET at any process: its metrics. */
  metrics: '/internal/metrics',
} as const;
