// `ws` from npm as a server, with the client example at $CLIENT_BIN as its client; with TLS if $TLS_CHAIN, $TLS_KEY and
// $TLS_ROOT name files.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer as createTlsServer } from 'node:https';
import { createInterface } from 'node:readline';
import assert from 'node:assert/strict';
import { WebSocketServer } from 'ws';
import { check, finish, SIZES, textOf } from '../check.mjs';

const { TLS_CHAIN: chain, TLS_KEY: key, TLS_ROOT: root } = process.env;

/** Runs the client, and reads its output. */
class Client {
  constructor(...args) {
    this.process = spawn(process.env.CLIENT_BIN, root ? [...args, '--ca', root] : args);
    this.exit = once(this.process, 'exit').then(([code]) => code);
    this.lines = createInterface({ input: this.process.stdout })[Symbol.asyncIterator]();
    this.events = createInterface({ input: this.process.stderr })[Symbol.asyncIterator]();
  }

  type(line) {
    this.process.stdin.write(`${line}\n`);
  }

  /** Returns the next printed line of received data. */
  async line() {
    return (await this.lines.next()).value;
  }

  /** Waits for a printed event that contains this; returns it. */
  async waitFor(part) {
    const printed = [];
    for (;;) {
      const { value, done } = await this.events.next();
      assert.ok(!done, `it never printed '${part}' after ${JSON.stringify(printed)}`);
      if (value.includes(part)) return value;
      printed.push(value);
    }
  }

  /** Closes its input; returns its exit status. */
  async closeInput() {
    this.process.stdin.end();
    return this.exit;
  }
}

async function listening(options) {
  if (chain) {
    const https = createTlsServer({ cert: readFileSync(chain), key: readFileSync(key) });
    const server = new WebSocketServer({ server: https, maxPayload: 0, ...options });
    await once(https.listen(0, '127.0.0.1'), 'listening');
    return [server, `wss://127.0.0.1:${https.address().port}/`];
  }
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1', maxPayload: 0, ...options });
  await once(server, 'listening');
  return [server, `ws://127.0.0.1:${server.address().port}/`];
}

/** Returns a server and a connected client. */
async function connectedPair(options, ...args) {
  const [server, url] = await listening(options);
  const client = new Client(url, ...args);
  const [socket, request] = await once(server, 'connection');
  await client.waitFor('connected');
  return { server, client, socket, request };
}

async function closeBoth({ server, client, socket }) {
  const closed = once(socket, 'close');
  assert.equal(await client.closeInput(), 0);
  assert.equal((await closed)[0], 1000);
  server.close();
}

for (const perMessageDeflate of [false, true]) {
  const offer = perMessageDeflate ? 'a server that would compress' : 'a server that never compresses';
  const ends = await connectedPair({ perMessageDeflate });
  ends.socket.on('message', (data, binary) => ends.socket.send(data, { binary }));
  for (const size of SIZES) {
    await check(`text of ${size} bytes is echoed, ${offer}`, async () => {
      const text = textOf(size);
      ends.client.type(text);
      assert.ok((await ends.client.line()) === text, 'another text was echoed');
    });
    await check(`binary of ${size} bytes is printed, ${offer}`, async () => {
      ends.socket.send(Buffer.alloc(size, 0xa5));
      const start = Array(Math.min(size, 16)).fill('a5').join(', ');
      assert.equal(await ends.client.line(), `${size} bytes [${start}]`);
    });
  }
  await check(`the end of the input closes with 1000, ${offer}`, () => closeBoth(ends));
}

await check('a fragmented message is reassembled', async () => {
  const ends = await connectedPair();
  for (const [fragment, fin] of [['one ', false], ['', false], ['two', true]]) ends.socket.send(fragment, { fin });
  assert.equal(await ends.client.line(), 'one two');
  await closeBoth(ends);
});

await check('a hundred lines at once arrive in order, before the Close', async () => {
  const ends = await connectedPair();
  const received = [];
  ends.socket.on('message', (data) => received.push(Number(data)));
  for (let i = 0; i < 100; i += 1) ends.client.type(i);
  await closeBoth(ends);
  assert.deepEqual(received, [...Array(100).keys()]);
});

await check('a ping is answered with its payload', async () => {
  const ends = await connectedPair();
  ends.socket.ping('are you there');
  const [payload] = await once(ends.socket, 'pong');
  assert.equal(payload.toString(), 'are you there');
  await closeBoth(ends);
});

await check('control characters do not reach the terminal', async () => {
  const ends = await connectedPair();
  ends.socket.send('\u001b[2J\u0007\u009b1m\n\u00e9');
  assert.equal(await ends.client.line(), '\\u{1b}[2J\\u{7}\\u{9b}1m\\n\u00e9');
  await closeBoth(ends);
});

await check('the server selects a subprotocol, and the client prints it', async () => {
  const [server, url] = await listening({ handleProtocols: (offered) => [...offered].at(-1) });
  const client = new Client(url, '--subprotocol', 'one', '--subprotocol', 'two');
  await client.waitFor('subprotocol "two"');
  assert.equal(await client.closeInput(), 0);
  server.close();
});

await check('header fields and the origin reach the server', async () => {
  const ends = await connectedPair({}, '--header', 'X-Token:  secret ', '--origin', 'http://app.test');
  assert.equal(ends.request.headers['x-token'], 'secret');
  assert.equal(ends.request.headers.origin, 'http://app.test');
  await closeBoth(ends);
});

const ends = [[1000, '', 0], [1000, 'done', 0], [1005, '', 1], [4001, 'caf\u00e9 ferm\u00e9', 1]];
for (const [code, reason, status] of ends) {
  const what = `close ${code} ${reason && `'${reason}' `}of the server`;
  await check(`${what} is reported and ends with ${status}`, async () => {
    const ends = await connectedPair({}, '--once');
    const closed = once(ends.socket, 'close');
    if (code === 1005) ends.socket.close();
    else ends.socket.close(code, reason);
    const sentence = await ends.client.waitFor('the peer closed the connection');
    assert.ok(sentence.includes(`${code}`) && sentence.includes(reason), sentence);
    assert.equal(await ends.client.exit, status);
    assert.equal((await closed)[0], code);
    ends.server.close();
  });
}

for (const [what, ends] of [
  ['a restart (1012)', (socket) => socket.close(1012)],
  ['a cut', (socket) => socket.terminate()],
]) {
  await check(`the client reconnects after ${what}`, async () => {
    const { server, client, socket } = await connectedPair();
    const again = once(server, 'connection');
    ends(socket);
    await client.waitFor('again in');
    client.type('typed while disconnected');
    const [data] = await once((await again)[0], 'message');
    assert.equal(data.toString(), 'typed while disconnected');
    await client.waitFor('connected');
    assert.equal(await client.closeInput(), 0);
    server.close();
  });
}

await check('a rejection is reported, and the client exits', async () => {
  const verifyClient = (_, done) => done(false, 403, 'who are you', { 'X-Why': 'you' });
  const [server, url] = await listening({ verifyClient });
  const client = new Client(url);
  await client.waitFor('the server answered 403');
  await client.waitFor('who are you');
  assert.equal(await client.exit, 1);
  server.close();
});

finish('ws from npm as a server');
