// Two pages of the chat example, served by $SERVER_BIN, which this script starts, kills and restarts.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { check, finish } from '../check.mjs';
import { launch } from './browser.mjs';

/** Starts the server; returns its port once it listens. */
async function start(port) {
  const server = spawn(process.env.SERVER_BIN, [`${port}`], { stdio: ['ignore', 'pipe', 'inherit'] });
  for await (const line of createInterface({ input: server.stdout })) {
    const found = /\/\/[^/ ]*:(\d+)/.exec(line);
    if (found) {
      server.stdout.resume();
      return [server, Number(found[1])];
    }
  }
  throw new Error('the server printed no address');
}

async function join(name) {
  const page = await (await browser.newContext()).newPage();
  page.on('pageerror', (error) => errors.push(`${name}: ${error.message}`));
  await page.goto(`http://127.0.0.1:${port}/`);
  await page.fill('#name', name);
  await page.click('#join');
  await state(page, 'open');
  return page;
}

const state = (page, wanted) => page.waitForSelector(`#status[data-state="${wanted}"]`, { state: 'attached' });

async function write(page, text) {
  await page.fill('#text', text);
  await page.click('#send');
}

async function sees(page, author, body) {
  const line = page
    .locator('#messages .message')
    .filter({ has: page.locator('.author', { hasText: author }) })
    .filter({ has: page.locator('.body', { hasText: body }) });
  await line.first().waitFor();
  return line.count();
}

/** Waits until the presence list has exactly these names. */
async function present(page, names) {
  await page.waitForFunction((wanted) => {
    const people = [...document.querySelectorAll('#people .person')].map((p) => p.textContent.trim());
    return people.length === wanted.length && wanted.every((name) => people.some((p) => p.includes(name)));
  }, names);
}

const errors = [];
const browser = await launch();
let [server, port] = await start(0);
let ada;
let bob;

await check('two people join', async () => {
  ada = await join('Ada');
  bob = await join('Bob');
});
await check('both are in the list on both pages', async () => {
  await present(ada, ['Ada', 'Bob']);
  await present(bob, ['Ada', 'Bob']);
});
await check('the other sees each message once', async () => {
  await write(ada, 'Good morning \u2615 <b>caf\u00e9</b>');
  assert.equal(await sees(bob, 'Ada', 'Good morning \u2615 <b>caf\u00e9</b>'), 1);
  assert.equal(await sees(ada, 'Ada', 'Good morning'), 1);
  await write(bob, 'Hello back');
  assert.equal(await sees(ada, 'Bob', 'Hello back'), 1);
});
await check('a message from a peer is text, never markup', async () => {
  assert.equal(await bob.locator('#messages b').count(), 0);
});
await check('a reload keeps the history', async () => {
  await bob.reload();
  if (await bob.locator('#name').isVisible()) {
    await bob.fill('#name', 'Bob');
    await bob.click('#join');
  }
  await state(bob, 'open');
  await sees(bob, 'Ada', 'Good morning');
  await sees(bob, 'Bob', 'Hello back');
  await present(ada, ['Ada', 'Bob']);
});
await check('a page that leaves disappears from the list', async () => {
  const eve = await join('Eve');
  await present(ada, ['Ada', 'Bob', 'Eve']);
  await eve.close();
  await present(ada, ['Ada', 'Bob']);
});
await check('the page detects that the server has exited', async () => {
  const ended = once(server, 'exit');
  server.kill('SIGKILL');
  await ended;
  await ada.waitForSelector('#status:not([data-state="open"])', { state: 'attached' });
});
await check('the page reconnects automatically when the server is back', async () => {
  [server] = await start(port);
  await state(ada, 'open');
  await state(bob, 'open');
  await present(ada, ['Ada', 'Bob']);
  await write(ada, 'Here again');
  await sees(bob, 'Ada', 'Here again');
});
await check('no script error in the page', async () => assert.deepEqual(errors, []));

if (process.env.SCREENSHOT) await ada.screenshot({ path: process.env.SCREENSHOT });
await browser.close();
server.kill();
finish('Chromium and the chat example');
