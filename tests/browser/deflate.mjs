// A page's WebSocket sends messages to an echo and compares the echoes: URL SEED COUNT. Prints how many bytes
// were echoed.
import { readFile } from 'node:fs/promises';
import { launch } from './browser.mjs';

const [url, seed, count] = process.argv.slice(2);
const origin = url.replace('ws:', 'http:');
const script = await readFile(new URL('../interop/deflate/exchange.mjs', import.meta.url), 'utf8');

const browser = await launch();
const page = await browser.newPage();
// An empty page and its script under the server's own origin, since it has none and allows no other origin.
await page.route(`${origin}**`, (route) => {
  const isScript = route.request().url().endsWith('.mjs');
  return route.fulfill(isScript ? { contentType: 'text/javascript', body: script } : { contentType: 'text/html', body: '' });
});
await page.goto(origin);
const bytes = await page.evaluate(async ([address, start, length]) => {
  const { Exchange } = await import('/exchange.mjs');
  const exchange = new Exchange(start, length);
  const socket = new WebSocket(address);
  socket.binaryType = 'arraybuffer';
  // A page cannot send fragments.
  const join = (fragments) => (typeof fragments[0] === 'string' ? fragments.join('') : new Blob(fragments));
  const send = (fragments) => socket.send(join(fragments));
  await new Promise((resolve, reject) => {
    socket.onopen = () => exchange.sendMore(send).catch(reject);
    socket.onmessage = ({ data }) => {
      try {
        exchange.handle(typeof data === 'string' ? data : new Uint8Array(data));
        if (exchange.done) resolve();
        else exchange.sendMore(send).catch(reject);
      } catch (error) {
        reject(error);
      }
    };
    socket.onclose = ({ code, reason }) => reject(new Error(`closed with ${code} ${reason}`));
  });
  const { code, wasClean } = await new Promise((resolve) => {
    socket.onclose = resolve;
    socket.close(1000);
  });
  if (code !== 1000 || !wasClean) throw new Error(`closed with ${code}`);
  return exchange.bytes;
}, [url, Number(seed), Number(count)]);
console.log(bytes);
await browser.close();
