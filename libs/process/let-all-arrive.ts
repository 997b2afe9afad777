/**
 * Lets everything be read that has arrived already. A process that was paused finds the end of a connection only behind
 * the requests that came before it, so it looks for that after this.
 */
export async function letAllArrive(): Promise<void> {
  // Data and the end behind it can take a round of the event loop each; under TLS one more.
  for (let round = 0; round < 3; round += 1) await new Promise<void>((done) => setImmediate(done));
}
