// An end on `ws` from npm, started like the ends in src/. It waits for each message to be written where the scenario is
// about back-pressure.
import { once } from 'node:events';
import { WebSocket, WebSocketServer } from '../interop/node_modules/ws/wrapper.mjs';

const [role, scenario, ...rest] = process.argv.slice(2);
const [count, length] = rest.slice(0, 2).map(Number);
const url = rest[2];

function talk(socket) {
  let sent = 0;
  let got = 0;
  let told = false;
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
      if (scenario === 'book') await written;
    }
  }

  socket.on('message', (data, isBinary) => {
    if (scenario === 'echo') {
      socket.send(data, { binary: isBinary });
      got += 1;
      sent += 1;
      return;
    }
    if (!isBinary) {
      told = true;
    } else {
      const number = data.readUInt32BE();
      if (number !== got || data.length !== length) {
        fail(new Error(`${data.length} bytes came, numbered ${number}`));
        socket.terminate();
        return;
      }
      got += 1;
      if (got === count && scenario !== 'upload') socket.send('all');
    }
    if (got === count && role === 'client' && (told || scenario === 'upload')) socket.close(1000);
  });
  socket.on('error', fail);
  socket.on('close', (code, reason) => {
    console.log(['end', sent, got, code, reason, fault].join('\t'));
  });
  if (scenario !== 'echo') sendAll().catch(fail);
}

if (role === 'client') {
  const socket = new WebSocket(url, { perMessageDeflate: false });
  socket.on('open', () => talk(socket));
} else {
  const server = new WebSocketServer({ host: '127.0.0.1', port: 0 });
  server.on('connection', talk);
  await once(server, 'listening');
  console.log(`ws://127.0.0.1:${server.address().port}/`);
}
