/** Our processes, in the order they start in. */
export const services = ['auth', 'core', 'gateway'] as const;

export type ServiceName = (typeof services)[number];
