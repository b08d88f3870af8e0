// A long way: passes TCP connections on to another server, each byte so many ms late in either direction. It stands in for netem.
import { createConnection, createServer, type Socket } from 'node:net';

const [port = '', host = '', targetPort = '', delay = ''] = process.argv.slice(2);
const oneWay = Number(delay) / 2;

const server = createServer((near) => {
  // The handshake takes a round trip before anything else can.
  setTimeout(() => {
    const far = createConnection({ host, port: Number(targetPort) });
    pass(near, far);
    pass(far, near);
  }, Number(delay));
});
server.listen(Number(port), '0.0.0.0', () => process.stdout.write('ready\n'));

/** What comes from one side goes to the other later, as fast as it comes; no more is on its way than the window of a connection. */
function pass(from: Socket, to: Socket): void {
  let under = 0;
  from.on('data', (chunk) => {
    under += chunk.length;
    if (under > 1_048_576) from.pause();
    setTimeout(() => {
      under -= chunk.length;
      if (to.destroyed) return void from.destroy();
      if (to.write(chunk)) from.resume();
      else {
        from.pause();
        to.once('drain', () => from.resume());
      }
    }, oneWay);
  });
  from.on('end', () => setTimeout(() => to.end(), oneWay));
  from.on('error', () => to.destroy());
  from.on('close', () => setTimeout(() => to.destroy(), oneWay + 1));
}
