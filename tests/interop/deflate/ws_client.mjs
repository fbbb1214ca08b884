// `ws` from npm as a client: URL SEED COUNT TERMS [MEMBER MEMBERS]. Prints how many bytes were echoed or, in a room, the
// digests sent to all and received from other members.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { WebSocket } from 'ws';
import { Exchange } from './exchange.mjs';
import { perMessageDeflate } from './ws_terms.mjs';

const [url, seed, count, terms, member, members] = process.argv.slice(2);

const digest = (message) => createHash('sha1')
  .update(typeof message === 'string' ? 't' : 'b').update(message).digest('hex').slice(0, 16);
const exchange = new Exchange(Number(seed), Number(count), { member, members: Number(members ?? 1), digest });
const socket = new WebSocket(url, { maxPayload: 0, perMessageDeflate: perMessageDeflate(terms) });
await once(socket, 'open');

// Queues messages even without a waiting caller.
let greeted = !member;
let greet;
const send = (fragments) => fragments.forEach((fragment, i) => socket.send(fragment, { fin: i === fragments.length - 1 }));
const done = new Promise((resolve, reject) => {
  socket.on('message', (data, isBinary) => {
    const message = isBinary ? new Uint8Array(data) : data.toString();
    try {
      if (!greeted) {
        assert.equal(message, '=?');
        greeted = true;
        greet();
        return;
      }
      exchange.handle(message);
      if (exchange.done) resolve();
      else exchange.sendMore(send).catch(reject);
    } catch (error) {
      reject(error);
    }
  });
  socket.on('error', reject);
  socket.on('close', (code) => reject(new Error(`closed with ${code}`)));
});
if (member) {
  const greeting = new Promise((resolve) => { greet = resolve; });
  socket.send('=?');
  await greeting;
  console.log('ready');
  await once(process.stdin, 'data');
}
exchange.sendMore(send);
await done;
socket.removeAllListeners('close');
socket.close(1000);
assert.equal((await once(socket, 'close'))[0], 1000);
const report = member ? JSON.stringify({ sent: exchange.sentToAll, from_others: exchange.fromOthers }) : exchange.bytes;
// A pipe holds 64 KiB at a time.
process.stdout.write(`${report}\n`, () => process.exit(0));
