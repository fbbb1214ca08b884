// uWebSockets.js. usage: node uws.cjs [CHAIN KEY]
const uws = require('@trufflesuite/uws-js-unofficial');

const [chain, key] = process.argv.slice(2);
const app = chain ? uws.SSLApp({ cert_file_name: chain, key_file_name: key }) : uws.App();
const limits = { maxPayloadLength: 64 << 20, maxBackpressure: 80 << 20 };

app.ws('/broadcast', {
    ...limits,
    open: (socket) => socket.subscribe('room'),
    message: (socket, data, binary) => app.publish('room', data, binary),
}).ws('/*', {
    ...limits,
    message: (socket, data, binary) => socket.send(data, binary),
}).listen('127.0.0.1', 0, (listener) => console.log(`127.0.0.1:${uws.us_socket_local_port(listener)}`));
