// `ws` from npm as a client of the recorder at $WS_URL; with `server`, as a server of the recorder $RECORDER.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { WebSocket, WebSocketServer } from 'ws';

async function exchange(options) {
  const socket = new WebSocket(`${process.env.WS_URL}/chat`, ['chat'], options);
  await once(socket, 'open');
  for (const message of ['hello', Buffer.alloc(300, 0xa5), 'gr\u00fc\u00df dich \ud83d\ude00', '', 'x'.repeat(2000)]) {
    socket.send(message);
    await once(socket, 'message');
  }
  for (const [fragment, fin] of [['one ', false], ['', false], ['two', true]]) socket.send(fragment, { fin });
  await once(socket, 'message');
  socket.ping('are you there');
  await once(socket, 'pong');
  await once(socket, 'ping'); // the server's heartbeat
  return socket;
}

async function client() {
  const first = await exchange({ perMessageDeflate: false });
  first.close(4001, 'that was all');
  await once(first, 'close');
  const second = await exchange({});
  second.send('close'); // makes the server close
  await once(second, 'close');
  const third = await exchange({ perMessageDeflate: false });
  third.terminate();
}

async function server() {
  const listener = new WebSocketServer({ host: '127.0.0.1', port: 0 });
  await once(listener, 'listening');
  listener.on('connection', (socket) => {
    socket.on('message', (data, isBinary) => socket.send(data, { binary: isBinary }));
  });
  const url = `ws://127.0.0.1:${listener.address().port}/chat`;
  await once(spawn(process.env.RECORDER, [url], { stdio: 'inherit' }), 'exit');
  listener.close();
}

await (process.argv[2] === 'server' ? server() : client());
