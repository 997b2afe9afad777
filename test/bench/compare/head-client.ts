/**
 * HEAD of one address again and again over 64 TLS connections, which wrk cannot do: `head-client.ts URL CA SECONDS`, with the
 * value of `Authorization` in the environment. Prints requests and the share of a processor that this process took: what is
 * well below 1 was not the limit.
 */
import { readFileSync } from 'node:fs';
import { connect } from 'node:tls';

const [address = '', authority = '', seconds = '5'] = process.argv.slice(2);
const { AUTHORIZATION: authorization = '' } = process.env;
const { host, hostname, port, pathname } = new URL(address);
const login = authorization === '' ? '' : `Authorization: ${authorization}\r\n`;
const request = `HEAD ${pathname} HTTP/1.1\r\nHost: ${host}\r\n${login}\r\n`;
const end = Buffer.from('\r\n\r\n');
const ca = readFileSync(authority);
let requests = 0;
const sockets = Array.from({ length: 64 }, () => {
  const socket = connect({ host: hostname, port: Number(port), ca });
  let left: Buffer = Buffer.alloc(0);
  socket.on('secureConnect', () => socket.write(request));
  socket.on('data', (bytes: Buffer) => {
    left = left.length === 0 ? bytes : Buffer.concat([left, bytes]);
    const at = left.indexOf(end);
    if (at < 0) return;
    if (left.subarray(9, 12).toString() !== '200') throw new Error(left.subarray(0, at).toString());
    left = left.subarray(at + end.length);
    requests += 1;
    socket.write(request);
  });
  return socket;
});
const before = process.cpuUsage();
setTimeout(() => {
  const { user, system } = process.cpuUsage(before);
  const share = (user + system) / 1e6 / Number(seconds);
  process.stdout.write(`${requests} requests, ${share.toFixed(2)} of a processor\n`);
  for (const socket of sockets) socket.destroy();
}, 1000 * Number(seconds));
