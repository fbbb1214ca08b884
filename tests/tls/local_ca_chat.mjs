// Headless Chromium follows the page at $TRUST_URL to the chat at $HTTPS_URL; the certificate store in $HOME_FOLDER has the
// CA that the page offers.
import assert from 'node:assert/strict';
import { launch } from '../browser/browser.mjs';
import { check, finish } from '../check.mjs';

const { HTTPS_URL: url, TRUST_URL: trust, FINGERPRINT: fingerprint, HOME_FOLDER: home } = process.env;
const browser = await launch({ env: { ...process.env, HOME: home, XDG_DATA_HOME: '' } });
const page = await browser.newPage();
const faults = [];
page.on('console', (message) => message.type() === 'error' && faults.push(message.text()));

await check('the page shows the fingerprint, and opens the instructions of this system only', async () => {
  await page.goto(trust);
  assert.equal(await page.textContent('.fingerprint'), fingerprint);
  assert.deepEqual(await page.locator('details[open] summary').allTextContents(), ['Linux']);
  assert.deepEqual(faults, [], 'its policy allows its style');
  assert.notEqual(await page.evaluate("getComputedStyle(document.querySelector('main')).maxWidth"), 'none');
  if (process.env.SCREENSHOT) await page.screenshot({ path: process.env.SCREENSHOT, fullPage: true });
});
await check('the certificate is downloaded with its type', async () => {
  const response = await page.request.get(new URL(await page.getAttribute('.button', 'href'), trust).href);
  assert.equal(response.headers()['content-type'], 'application/x-x509-ca-cert');
});
await check('the chat opens, and its socket', async () => {
  assert.equal((await page.goto(`${url}/`)).status(), 200);
  assert.equal(await page.evaluate('isSecureContext'), true);
  const opened = await page.evaluate((address) => new Promise((resolve) => {
    const socket = new WebSocket(address, 'chat');
    socket.onopen = () => resolve(socket.protocol);
    socket.onclose = ({ code }) => resolve(code);
  }), `${url.replace('http', 'ws')}/ws`);
  assert.equal(opened, 'chat');
});
await browser.close();
finish('Chromium with the chat of a local CA');
