// Two pages of the example `drop` at $HTTP_URL: one sends files, the other sees their progress and downloads them.
import assert from 'node:assert/strict';
import { readFile, readdir, writeFile } from 'node:fs/promises';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { check, finish } from '../check.mjs';
import { launch } from './browser.mjs';

const { HTTP_URL, FOLDER } = process.env;
const from = mkdtempSync(path.join(tmpdir(), 'drop-'));
const film = Buffer.alloc(30_000_000, 'film');
const browser = await launch();

async function open(viewport) {
  const page = await (await browser.newContext({ viewport })).newPage();
  page.on('pageerror', (error) => errors.push(error.message));
  await page.goto(HTTP_URL);
  await page.waitForSelector('#offline', { state: 'hidden' });
  return page;
}

const errors = [];
const phone = await open({ width: 390, height: 844 });
const computer = await open({ width: 1280, height: 800 });

await check('a phone sends two files, and the other page sees them', async () => {
  await writeFile(path.join(from, 'film für dich.mp4'), film);
  await writeFile(path.join(from, 'note.txt'), 'a note');
  await phone.setInputFiles('#choose', [path.join(from, 'film für dich.mp4'), path.join(from, 'note.txt')]);
  for (const page of [phone, computer]) {
    await page.locator('#uploads li', { hasText: 'film für dich.mp4: stored' }).waitFor();
    await page.locator('#files li', { hasText: 'note.txt' }).waitFor();
  }
  assert.ok(film.equals(await readFile(path.join(FOLDER, 'film für dich.mp4'))));
  assert.deepEqual((await readdir(FOLDER)).sort(), ['film für dich.mp4', 'note.txt']);
});

await check('the other page downloads it', async () => {
  const [download] = await Promise.all([computer.waitForEvent('download'), computer.click('#files a:has-text("film")')]);
  assert.equal(download.suggestedFilename(), 'film für dich.mp4');
  assert.ok(film.equals(await readFile(await download.path())));
});

await check('an interrupted upload leaves nothing, and the other page says so', async () => {
  const network = await phone.context().newCDPSession(phone);
  await network.send('Network.emulateNetworkConditions', {
    offline: false,
    latency: 0,
    downloadThroughput: -1,
    uploadThroughput: 1_000_000, // a second each million: it is cut off long before its end
  });
  await phone.evaluate(() => {
    const request = new XMLHttpRequest();
    request.open('PUT', '/files/half.bin');
    request.send(new Blob(Array.from({ length: 40 }, () => new Uint8Array(10_000_000))));
  });
  await computer.locator('#uploads li', { hasText: 'half.bin: ' }).waitFor();
  await phone.close();
  await computer.locator('#uploads li', { hasText: 'half.bin: failed' }).waitFor();
  assert.deepEqual((await readdir(FOLDER)).sort(), ['film für dich.mp4', 'note.txt']);
});

await check('the pages have no errors, and fit a phone', async () => {
  const page = await open({ width: 320, height: 600 });
  assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth));
  assert.deepEqual(errors, []);
});

await browser.close();
finish('drop');
