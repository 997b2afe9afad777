import type { IncomingMessage, Server } from 'node:http';
import type { Socket } from 'node:net';
import type { Budget, Lease } from '#libs/limits/budget.ts';
import { partiesOf } from '#libs/limits/parties.ts';
import { lookBefore } from './first-bytes.ts';

/** Beyond the budget, so that whoever is refused can be told so. */
const room = 1.1;
/** Of that room one network has so much, so that others can be told too. */
const roomOfOne = 0.25;
/** Milliseconds a connection without a share is kept: for one refusal. */
const refusalTime = 5000;

/** The connections of clients, which are shared out among the networks they come from. */
export interface ClientConnections {
  /** To be called before the server listens, and before what tells whose connections they are. */
  watch(server: Server): void;
  /** @throws RegistryError TOOMANYREQUESTS for a request on a connection that has no share */
  assertAdmitted(request: IncomingMessage): void;
}

/** One connection; without a lease it has no share. */
interface Connection {
  address: string;
  lease: Lease | undefined;
}

export function createClientConnections(budget: Budget): ClientConnections {
  /**
   * By both ends, since a TLS socket is another one than the connection it is made of. Following it through
   * its events instead would cost each of its bytes something.
   */
  const known = new Map<string, Connection>();

  /** Connections without a share, by the widest network they come from. */
  const unleased = new Map<string, number>();
  const maxRefused = Math.max(2, Math.floor(budget.capacity * (room - 1) * roomOfOne));

  const take = (address: string) => budget.tryTake(partiesOf(address), 1);

  return {
    watch(server) {
      server.maxConnections = Math.ceil(budget.capacity * room);
      lookBefore(server, ({ socket, handOver }) => {
        const { remoteAddress: address = '' } = socket;
        const connection: Connection = { address, lease: take(address) };
        const key = keyOf(socket);
        const network = partiesOf(address).networks[0] ?? '';
        const refused = unleased.get(network) ?? 0;
        // On a Unix socket nobody has ends to be told apart by, and nobody can be told.
        if (connection.lease === undefined && (key === undefined || refused >= maxRefused)) {
          socket.destroy();
          return;
        }
        if (key !== undefined) known.set(key, connection);
        if (connection.lease === undefined) {
          unleased.set(network, refused + 1);
          const timer = setTimeout(() => {
            if (connection.lease === undefined) socket.destroy();
          }, refusalTime).unref();
          socket.once('close', () => {
            clearTimeout(timer);
            const left = (unleased.get(network) ?? 1) - 1;
            if (left > 0) unleased.set(network, left);
            else unleased.delete(network);
          });
        }
        socket.once('close', () => {
          connection.lease?.[Symbol.dispose]();
          if (key !== undefined && known.get(key) === connection) known.delete(key);
        });
        handOver();
      });
    },

    assertAdmitted({ socket }) {
      const connection = known.get(keyOf(socket) ?? '');
      if (connection === undefined || connection.lease !== undefined) return;
      // There may be a share by now.
      connection.lease = take(connection.address);
      if (connection.lease === undefined) throw budget.refuse();
    },
  };
}

function keyOf({ remoteAddress, remotePort, localPort }: Socket): string | undefined {
  return remotePort === undefined ? undefined : `${remoteAddress} ${remotePort} ${localPort}`;
}
