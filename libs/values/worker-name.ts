/**
 * What one of several processes of a service is called, in the log and by its supervisor: `core`,
 * `core-2`, `core-3`.
 * @param number counts from 1
 */
export function workerName(service: string, number: number): string {
  return number === 1 ? service : `${service}-${number}`;
}
