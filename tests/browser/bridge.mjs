// Two pages and a second process of the bridge example, served by $SERVER_BIN, which this script starts, kills and
// restarts.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { check, finish } from '../check.mjs';
import { launch } from './browser.mjs';

/** Starts a process, and reads its output until a line contains this; returns the match. */
async function start(args, pattern) {
  const child = spawn(process.env.SERVER_BIN, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  // Several lines may arrive at once: they are queued until a check reads them.
  const lines = [];
  let notify = () => {};
  createInterface({ input: child.stdout }).on('line', (line) => {
    lines.push(line);
    notify();
  });
  const waitFor = async (wanted) => {
    for (;;) {
      while (lines.length > 0) {
        const found = wanted.exec(lines.shift());
        if (found) return found;
      }
      await new Promise((resolve) => { notify = resolve; });
    }
  };
  return { child, waitFor, found: await waitFor(pattern) };
}

const LISTENS = /http:\/\/[^/ ]*:(\d+)/;
let server = await start(['0'], LISTENS);
const port = server.found[1];
const browser = await launch();
const errors = [];

async function open() {
  const page = await (await browser.newContext()).newPage();
  page.on('pageerror', (error) => errors.push(error.message));
  await page.goto(`http://127.0.0.1:${port}/`);
  return page;
}

const here = (page, count) => page.waitForFunction(
  (text) => document.querySelector('#here').textContent === text,
  count ? `connected: ${count} of us` : 'not connected',
);
const call = (page, method, ...params) => page.evaluate(([name, args]) => program[name](...args), [method, params]);

const one = await open();
const other = await open();
await check('the program reports the number of pages to each page', async () => {
  await here(one, 2);
  await here(other, 2);
});
await check('a page calls the program', async () => {
  assert.equal(await call(one, 'add', 2, 0.5), 2.5);
  await one.click('#add');
  await one.waitForFunction(() => document.querySelector('#log').textContent.includes('5\n'));
});
await check('unknown methods and unusable arguments are errors', async () => {
  await assert.rejects(call(one, 'subtract', 3, 2), /there is no function/);
  await assert.rejects(call(one, 'add', 'two'), /invalid/);
});
await check('the program calls the other page', async () => {
  await other.fill('#answer', 'me');
  assert.deepEqual(await call(one, 'survey', 'who is there?'), ['me']);
});

const visitor = await start(['--connect', `ws://127.0.0.1:${port}/rpc`], /2 \+ 3 = 5/);
await check('a second process calls and is called', async () => {
  await here(one, 3);
  const answers = await call(one, 'survey', 'and now?');
  assert.equal(answers.length, 2);
  assert.ok(answers.includes('me') && answers.some((answer) => answer.includes('has heard ["and now?"]')), `${answers}`);
});
await check('pages and process reconnect automatically when the program is back', async () => {
  const ended = once(server.child, 'exit');
  server.child.kill('SIGKILL');
  await ended;
  await visitor.waitFor(/again in/);
  await here(one, 0);
  const again = visitor.waitFor(/2 \+ 3 = 5/);
  server = await start([port], LISTENS);
  await again;
  await here(one, 3);
  await here(other, 3);
  assert.equal((await call(other, 'survey', 'still there?')).length, 2);
});
await check('no script error in the page', async () => assert.deepEqual(errors, []));

await browser.close();
visitor.child.kill();
server.child.kill();
finish('Chromium and the bridge example');
