// undici as a client of each given URL.
import { createRequire } from 'node:module';
import { WebSocket } from 'undici';
import { follow } from '../ours/page/web.mjs';

const { version } = createRequire(import.meta.url)('undici/package.json');
for (const url of process.argv.slice(2)) await follow(WebSocket, url, version);
