// Asks a multicast DNS responder directly for a host's address, and prints how many of the questions were answered.
import { createSocket } from 'node:dgram';

const [address = '', name = '', count = '1'] = process.argv.slice(2);
const labels = name.split('.').map((label) => Buffer.from([label.length, ...Buffer.from(label)]));
const header = Buffer.from([0, 7, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
const question = Buffer.concat([header, ...labels, Buffer.from([0, 0, 1, 0, 1])]);

const socket = createSocket('udp4');
let answered = 0;
socket.on('message', (answer) => {
  if (answer.readUInt16BE(6) > 0) answered += 1;
  if (answered === Number(count)) finish();
});
const timer = setTimeout(finish, 2_000);
for (let i = 0; i < Number(count); i += 1) socket.send(question, 5353, address);

function finish(): void {
  clearTimeout(timer);
  process.stdout.write(`${answered}\n`);
  socket.close();
}
