// `ws` from npm: a client of each given URL or, without URLs, a server.
import { once } from 'node:events';
import { createRequire } from 'node:module';
import { WebSocket, WebSocketServer } from 'ws';

const { version } = createRequire(import.meta.url)('ws/package.json');
const DONE = 1000;
let ended = '';

/** Follows until the end; returns its code. */
async function follow(socket) {
  const hello = ['hello', `version: ${version}`, `subprotocol: ${socket.protocol}`];
  socket.send([...hello, `extensions: ${socket.extensions}`, ended].join('\n'));
  socket.on('message', (data, binary) => {
    const [, command, rest] = (!binary && /^\/(\w+) ?(.*)$/.exec(data)) || [];
    if (command === 'close') socket.close(Number(rest.slice(0, 4)), rest.slice(5));
    else if (command === 'ping') {
      socket.once('pong', (payload) => socket.send(`/pong ${payload}`));
      socket.ping(rest);
    }
    else if (command === 'ticks') {
      for (let left = Number(rest); left > 0; left -= 1) {
        socket.send('tick', { fin: false });
        socket.send('', { fin: true });
      }
    } else if (command === 'fragments') {
      for (const [fragment, fin] of [['one ', false], ['', false], ['two', true]]) socket.send(fragment, { fin });
    } else socket.send(data, { binary });
  });
  const [code, reason] = await once(socket, 'close');
  ended = `ended: ${code} ${reason}`;
  return code;
}

async function client(url) {
  let code;
  do {
    const socket = new WebSocket(url, ['matrix']);
    try {
      await once(socket, 'open');
    } catch {
      return; // no server left
    }
    code = await follow(socket);
  } while (code !== DONE);
}

function server() {
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1', perMessageDeflate: true });
  let last = Promise.resolve();
  server.on('connection', (socket) => {
    socket.pause(); // until the previous one has ended, since this one reports its end
    last = last.then(() => {
      socket.resume();
      return follow(socket);
    });
  });
  server.on('listening', () => console.log(`ws://127.0.0.1:${server.address().port}/`));
}

const urls = process.argv.slice(2);
if (urls.length === 0) server();
for (const url of urls) await client(url);
