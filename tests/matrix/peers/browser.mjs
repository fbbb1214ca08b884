// A system browser, headless, as a client of each given URL: it opens our server's page there, and the page is the
// peer. It runs until killed.
import { execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const VISIT = {
  async chromium(url) {
    const { launch } = await import('../../browser/browser.mjs');
    const browser = await launch();
    const page = await browser.newPage();
    await page.goto(url(browser.version()));
  },

  firefox(url) {
    const executable = process.env.FIREFOX ?? '/usr/bin/firefox-esr';
    const [version] = /\d\S*/.exec(execFileSync(executable, ['--version']));
    const profile = mkdtempSync(join(tmpdir(), 'firefox-'));
    // No first-run activity, and no background network traffic.
    const settings = {
      'app.normandy.enabled': false,
      'app.update.enabled': false,
      'browser.aboutwelcome.enabled': false,
      'browser.shell.checkDefaultBrowser': false,
      'browser.startup.homepage_override.mstone': 'ignore',
      'datareporting.policy.dataSubmissionEnabled': false,
      'extensions.update.enabled': false,
      'network.captive-portal-service.enabled': false,
      'network.connectivity-service.enabled': false,
      'services.settings.server': 'data:,',
      'toolkit.telemetry.enabled': false,
    };
    const line = ([name, value]) => `user_pref(${JSON.stringify(name)}, ${JSON.stringify(value)});\n`;
    writeFileSync(join(profile, 'user.js'), Object.entries(settings).map(line).join(''));
    spawn(executable, ['--headless', '--no-remote', '--profile', profile, url(version)], { stdio: 'ignore' });
  },
};

const [browser, ...urls] = process.argv.slice(2);
const [first, ...next] = urls.map((url) => url.replace('ws://', 'http://'));
await VISIT[browser]((version) => `${first}?${new URLSearchParams({ version, next: next.join(' ') })}`);
