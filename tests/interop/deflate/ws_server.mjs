// `ws` from npm as a server that echoes, some messages in two fragments: TERMS. Prints its address.
import { WebSocketServer } from 'ws';
import { perMessageDeflate } from './ws_terms.mjs';

const server = new WebSocketServer({
  port: 0, host: '127.0.0.1', maxPayload: 0, perMessageDeflate: perMessageDeflate(process.argv[2]),
});
server.on('listening', () => console.log(`ws://127.0.0.1:${server.address().port}/`));
server.on('connection', (socket) => {
  socket.on('error', () => {}); // the client reports why it broke off
  socket.on('message', (data, binary) => {
    const half = Math.floor(data.length / 2);
    if (data.length % 3 !== 0) {
      socket.send(data, { binary });
      return;
    }
    socket.send(data.subarray(0, half), { binary, fin: false });
    socket.send(data.subarray(half), { fin: true });
  });
});
