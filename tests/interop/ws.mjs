// `ws` from npm as a client of the echo example at $WS_URL, or of another server that echoes on $WS_PATH.
import { once } from 'node:events';
import assert from 'node:assert/strict';
import { WebSocket } from 'ws';
import { check, finish, SIZES, textOf } from '../check.mjs';

const URL = `${process.env.WS_URL}${process.env.WS_PATH ?? '/'}`;

async function open(options) {
  const socket = new WebSocket(URL, { maxPayload: 0, ...options });
  await once(socket, 'open');
  return socket;
}

async function closed(socket) {
  const [code, reason] = await once(socket, 'close');
  return [code, reason.toString()];
}

async function echo(socket, data) {
  socket.send(data);
  const [answer, isBinary] = await once(socket, 'message');
  assert.equal(isBinary, typeof data !== 'string');
  assert.ok(answer.equals(Buffer.from(data)), `${answer.length} other bytes were echoed`);
}

for (const perMessageDeflate of [false, true]) {
  const offer = perMessageDeflate ? 'compression offered' : 'no compression';
  const socket = await open({ perMessageDeflate });
  for (const size of SIZES) {
    await check(`text of ${size} bytes, ${offer}`, () => echo(socket, textOf(size)));
    await check(`binary of ${size} bytes, ${offer}`, () => echo(socket, Buffer.alloc(size, 0xa5)));
  }
  await check(`binary of every byte, ${offer}`, () => echo(socket, Buffer.from([...Array(256).keys()])));
  socket.terminate();
}

await check('a fragmented message is echoed whole', async () => {
  const socket = await open();
  for (const [fragment, fin] of [['one ', false], ['', false], ['two', true]]) socket.send(fragment, { fin });
  const [answer, isBinary] = await once(socket, 'message');
  assert.equal(answer.toString(), 'one two');
  assert.equal(isBinary, false);
  socket.close();
});

await check('a hundred messages at once are echoed in order', async () => {
  const socket = await open();
  const received = [];
  socket.on('message', (data) => received.push(Number(data)) === 100 && socket.close());
  for (let i = 0; i < 100; i += 1) socket.send(`${i}`);
  await closed(socket);
  assert.deepEqual(received, [...Array(100).keys()]);
});

await check('a ping is answered with its payload', async () => {
  const socket = await open();
  socket.ping('are you there');
  const [payload] = await once(socket, 'pong');
  assert.equal(payload.toString(), 'are you there');
  socket.close();
});

await check('no subprotocol is selected when none is offered', async () => {
  const socket = await open();
  assert.equal(socket.protocol, '');
  socket.close();
});

for (const [code, reason] of [[1000, ''], [1000, 'done'], [4001, 'caf\u00e9 ferm\u00e9'], [1005, '']]) {
  await check(`close ${code} ${reason && `'${reason}' `}is echoed`, async () => {
    const socket = await open();
    if (code === 1005) socket.close();
    else socket.close(code, reason);
    const [answered, echoed] = await closed(socket);
    assert.equal(answered, code);
    assert.ok(echoed === reason || echoed === '', `reason '${echoed}'`);
  });
}

finish('ws from npm');
