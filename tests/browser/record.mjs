// Chromium as a client of the recorder at $HTTP_URL: it opens the page, which runs its conversation.
import { launch } from './browser.mjs';

const browser = await launch();
const page = await browser.newPage();
await page.goto(`${process.env.HTTP_URL}/`);
await page.waitForFunction(() => document.title.startsWith('closed'));
await browser.close();
