// Headless Chromium and the server at $HTTPS_URL, as a user whose certificate store, in $HOME_FOLDER, trusts the root, and
// as one without.
import assert from 'node:assert/strict';
import { mkdtempSync } from 'node:fs';
import { join } from 'node:path';
import { launch } from '../browser/browser.mjs';
import { check, finish } from '../check.mjs';

const { HTTPS_URL: url, HTTP_URL: plain, HOME_FOLDER: home } = process.env;
const socketUrl = `${url.replace('http', 'ws')}/ws`;

/** In a page: opens a socket, has every message echoed, and closes; returns how it ended. */
async function exchange([address, sizes]) {
  const socket = new WebSocket(address);
  socket.binaryType = 'arraybuffer';
  const next = (type) => new Promise((resolve) => socket.addEventListener(type, resolve, { once: true }));
  const closed = next('close');
  const opened = await Promise.race([next('open'), closed]);
  if (opened.type === 'open') {
    for (const size of sizes) {
      const [text, binary] = ['x'.repeat(size), new Uint8Array(size).fill(0xa5)];
      for (const message of [text, binary]) {
        socket.send(message);
        const { data } = await next('message');
        const same = message === text ? data === text : new Uint8Array(data).every((byte) => byte === 0xa5);
        if (!same || (data.length ?? data.byteLength) !== size) throw new Error(`another message of ${size} bytes`);
      }
    }
    socket.close(4001, 'done');
  }
  return (await closed).code;
}

async function as(folder, body) {
  const browser = await launch({ env: { ...process.env, HOME: folder } });
  try {
    await body(() => browser.newPage());
  } finally {
    await browser.close();
  }
}

await as(home, async (newPage) => {
  const page = await newPage();
  await check('the page is secure', async () => {
    const response = await page.goto(`${url}/`);
    assert.equal(response.status(), 200);
    assert.match((await response.securityDetails()).protocol, /^TLS 1.3$/);
    assert.equal(await page.evaluate('isSecureContext'), true);
  });
  await check('its socket echoes, and closes with a code', async () => {
    assert.equal(await page.evaluate(exchange, [socketUrl, [0, 1, 125, 126, 65_535, 65_536, 1 << 20]]), 4001);
  });
  await check('its second socket, with a resumed session', async () => {
    assert.equal(await page.evaluate(exchange, [socketUrl, [1]]), 4001);
  });
  await check('a socket of a page without TLS, whose origin is allowed', async () => {
    await page.goto(`${plain}/`);
    assert.equal(await page.evaluate(exchange, [socketUrl, [1]]), 4001);
  });
});
await as(mkdtempSync(join(home, '..', 'other-home-')), async (newPage) => {
  await check('without the root: the page is not trusted', async () => {
    await assert.rejects((await newPage()).goto(`${url}/`), /ERR_CERT_AUTHORITY_INVALID/);
  });
  await check('without the root: the socket does not open', async () => {
    const page = await newPage();
    await page.goto(`${plain}/`);
    assert.equal(await page.evaluate(exchange, [socketUrl, [1]]), 1006);
  });
});
finish('Chromium with TLS');
