// A page's WebSocket against the echo example at $WS_URL.
import assert from 'node:assert/strict';
import { check, finish, SIZES } from '../check.mjs';
import { launch } from './browser.mjs';

const { HTTP_URL, WS_URL } = process.env;
const browser = await launch();
const page = await browser.newPage();
// An empty page under the server's own origin, since the echo example has none and allows no other origin.
await page.route(`${HTTP_URL}/`, (route) => route.fulfill({ contentType: 'text/html', body: '<title>echo</title>' }));
await page.goto(`${HTTP_URL}/`);

/** In the page: sends one message of `size` bytes, and returns what is wrong with the echo. */
async function exchange([url, size, kind]) {
  const socket = new WebSocket(url);
  socket.binaryType = 'arraybuffer';
  const event = (name) => new Promise((resolve, reject) => {
    socket.addEventListener(name, resolve, { once: true });
    socket.addEventListener('close', (e) => reject(new Error(`closed with ${e.code} ${e.reason}`)), { once: true });
  });
  await event('open');
  const text = '\u20ac'.repeat(Math.floor(size / 3)) + 'x'.repeat(size % 3);
  const sent = kind === 'text' ? text : new Uint8Array(size).map((_, i) => i % 251);
  const answer = event('message');
  socket.send(sent);
  const { data } = await answer;
  socket.close();
  if (kind === 'text') return data === sent ? '' : `${data.length} other characters`;
  const bytes = new Uint8Array(data);
  return bytes.length === sent.length && bytes.every((b, i) => b === sent[i]) ? '' : `${bytes.length} other bytes`;
}

/** In the page: opens, closes with `code` and `reason`, and returns what the close event reports. */
async function close([url, code, reason]) {
  const socket = new WebSocket(url);
  await new Promise((resolve, reject) => {
    socket.addEventListener('open', resolve, { once: true });
    socket.addEventListener('error', () => reject(new Error('not opened')), { once: true });
  });
  const closed = new Promise((resolve) => socket.addEventListener('close', resolve, { once: true }));
  if (code === 1005) socket.close();
  else socket.close(code, reason);
  const event = await closed;
  return [event.code, event.wasClean, event.reason];
}

for (const size of SIZES) {
  for (const kind of ['text', 'binary']) {
    await check(`${kind} of ${size} bytes`, async () => {
      assert.equal(await page.evaluate(exchange, [`${WS_URL}/`, size, kind]), '');
    });
  }
}
for (const [code, reason] of [[1000, 'done'], [4001, 'caf\u00e9 ferm\u00e9'], [1005, '']]) {
  await check(`close ${code}`, async () => {
    const [answered, clean, reported] = await page.evaluate(close, [`${WS_URL}/`, code, reason]);
    assert.deepEqual([answered, clean], [code, true]);
    assert.ok(reported === reason || reported === '', `reason '${reported}'`);
  });
}
await check('a page of another origin is rejected', async () => {
  const foreign = await browser.newPage();
  await foreign.route('http://other.test/', (route) => route.fulfill({ contentType: 'text/html', body: '' }));
  await foreign.goto('http://other.test/');
  const outcome = await foreign.evaluate((url) => new Promise((resolve) => {
    const socket = new WebSocket(url);
    socket.onopen = () => resolve('open');
    socket.onclose = (event) => resolve(event.code);
  }), `${WS_URL}/`);
  assert.equal(outcome, 1006);
});

await browser.close();
finish('Chromium and the echo example');
