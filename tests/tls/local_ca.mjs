// Headless Chromium and the server at $HTTPS_URL, whose local CA the certificate store in $HOME_FOLDER trusts. The server
// at $REFUSED_URL, a name of the internet, has a certificate of the same CA.
import assert from 'node:assert/strict';
import { mkdtempSync } from 'node:fs';
import { join } from 'node:path';
import { launch } from '../browser/browser.mjs';
import { check, finish } from '../check.mjs';

const { HTTPS_URL: url, REFUSED_URL: refused, HOME_FOLDER: home } = process.env;
const address = url.replace('localhost', '127.0.0.1');

/** In a page: opens a socket of its own origin, and returns what it echoes, or `closed`. */
function echo() {
  return new Promise((resolve) => {
    const socket = new WebSocket(`${location.origin.replace('http', 'ws')}/ws`);
    socket.onopen = () => socket.send('hello');
    socket.onmessage = ({ data }) => resolve(data);
    socket.onclose = () => resolve('closed');
  });
}

async function as(folder, body) {
  const args = ['--host-resolver-rules=MAP www.example.com 127.0.0.1'];
  const browser = await launch({ args, env: { ...process.env, HOME: folder, XDG_DATA_HOME: '' } });
  try {
    await body(() => browser.newPage());
  } finally {
    await browser.close();
  }
}

await as(home, async (newPage) => {
  for (const origin of [url, address]) {
    await check(`the page at ${new URL(origin).hostname} is secure, and its socket echoes`, async () => {
      const page = await newPage();
      assert.equal((await page.goto(`${origin}/`)).status(), 200);
      assert.equal(await page.evaluate('isSecureContext'), true);
      assert.equal(await page.evaluate(echo), 'hello');
    });
  }
  await check('a name that the CA must not certify', async () => {
    await assert.rejects((await newPage()).goto(refused), /ERR_CERT_(INVALID|NAME_CONSTRAINT_VIOLATION)/);
  });
});
await as(mkdtempSync(join(home, '..', 'other-home-')), async (newPage) => {
  await check('without the CA: the page is not trusted', async () => {
    await assert.rejects((await newPage()).goto(`${url}/`), /ERR_CERT_AUTHORITY_INVALID/);
  });
});
finish('Chromium with a local CA');
