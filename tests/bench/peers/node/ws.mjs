// `ws` over `https`, as its README. usage: node ws.mjs [CHAIN KEY]
import fs from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import { WebSocketServer } from 'ws';

const [chain, key] = process.argv.slice(2);
const server = chain ?
    https.createServer({ cert: fs.readFileSync(chain), key: fs.readFileSync(key) }) : http.createServer();
const sockets = new WebSocketServer({ server });
const room = new Set();

sockets.on('connection', (socket, request) => {
    socket.on('error', () => {});
    if (request.url === '/broadcast') {
        room.add(socket);
        socket.on('close', () => room.delete(socket));
        socket.on('message', (data, binary) => room.forEach((each) => each.send(data, { binary })));
    } else {
        socket.on('message', (data, binary) => socket.send(data, { binary }));
    }
});
server.listen(0, '127.0.0.1', () => console.log(`127.0.0.1:${server.address().port}`));
