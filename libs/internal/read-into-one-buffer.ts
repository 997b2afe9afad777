import type { Agent } from 'node:http';
import type { Socket, TcpNetConnectOpts } from 'node:net';

/** For all connections: what was read is with the parser before anything else is read, and of a body that makes copies. */
const buffer = Buffer.allocUnsafeSlow(64 * 1024);

/**
 * Has the connections of an agent read into a buffer that is used again, where Node gives each read 64 KiB of its own.
 * What comes while no request is under way is dropped.
 */
export function readIntoOneBuffer(agent: Agent): Agent {
  const create = agent.createConnection.bind(agent);
  agent.createConnection = (options, onCreated) => {
    const onread = {
      buffer,
      callback(size: number): boolean {
        socket.emit('data', buffer.subarray(0, size));
        return true;
      },
    };
    const withBuffer: TcpNetConnectOpts = { ...(options as TcpNetConnectOpts), onread };
    const socket = create(withBuffer, onCreated) as Socket;
    return socket;
  };
  return agent;
}
