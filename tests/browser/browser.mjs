// Headless Chromium, the system's own.
import { chromium } from 'playwright-core';

const EXECUTABLE = process.env.CHROMIUM ?? '/usr/bin/chromium';

export function launch(options = {}) {
  return chromium.launch({
    ...options,
    executablePath: EXECUTABLE,
    args: [
      ...(options.args ?? []),
      '--no-sandbox', // the tests may run as root
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
      // The server, not the browser, must decide whether a foreign page may reach this machine.
      '--disable-features=LocalNetworkAccessChecks,LocalNetworkAccessChecksWebSockets',
    ],
  });
}
