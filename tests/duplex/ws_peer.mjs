// An end on `ws` from npm, started like the ends in src/. With back-pressure, it waits until each message is
// written.
import { once } from 'node:events';
import { WebSocket, WebSocketServer } from '../interop/node_modules/ws/wrapper.mjs';

const [role, scenario, ...rest] = process.argv.slice(2);
const [count, length] = rest.slice(0, 2).map(Number);
const url = rest[2];

function exchange(socket) {
  let sent = 0;
  let received = 0;
  let peerDone = false;
  let fault = '';
  const fail = (error) => { fault ||= error.message; };

  async function sendAll() {
    while (sent < count) {
      const message = Buffer.alloc(length);
      message.writeUInt32BE(sent);
      sent += 1;
      const written = new Promise((resolve, reject) => {
        socket.send(message, (error) => (error ? reject(error) : resolve()));
      });
      written.catch(fail);
      if (scenario === 'paced') await written;
    }
  }

  socket.on('message', (data, isBinary) => {
    if (scenario === 'echo') {
      socket.send(data, { binary: isBinary });
      received += 1;
      sent += 1;
      return;
    }
    if (!isBinary) {
      peerDone = true;
    } else {
      const number = data.readUInt32BE();
      if (number !== received || data.length !== length) {
        fail(new Error(`${data.length} bytes, numbered ${number}`));
        socket.terminate();
        return;
      }
      received += 1;
      if (received === count && scenario !== 'upload') socket.send('all');
    }
    if (received === count && role === 'client' && (peerDone || scenario === 'upload')) socket.close(1000);
  });
  socket.on('error', fail);
  socket.on('close', (code, reason) => {
    console.log(['end', sent, received, code, reason, fault].join('\t'));
  });
  if (scenario !== 'echo') sendAll().catch(fail);
}

if (role === 'client') {
  const socket = new WebSocket(url, { perMessageDeflate: false });
  socket.on('open', () => exchange(socket));
} else {
  const server = new WebSocketServer({ host: '127.0.0.1', port: 0 });
  server.on('connection', exchange);
  await once(server, 'listening');
  console.log(`ws://127.0.0.1:${server.address().port}/`);
}
