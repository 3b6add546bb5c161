// A person at the page of `session home`, in headless Chromium.
//
//   home.mjs LINK SCENARIO FOLDER
//
// Walks through one scenario, and prints one line of JSON: what the steps have seen, the errors of the console, every request, and why it broke off. FOLDER gets pictures.
// Only loopback can be reached.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { load } from '../peers/oauth/packages.mjs';

const [link, scenario, folder] = process.argv.slice(2);
const { chromium } = (await load('playwright-core')).default;
const scratch = mkdtempSync(join(tmpdir(), 'home-'));
const result = { seen: {}, console: [], requests: [] };
const seen = result.seen;

const context = await chromium.launchPersistentContext(join(scratch, 'profile'), {
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  headless: true,
  chromiumSandbox: false,
  javaScriptEnabled: scenario !== 'plain',
  viewport: { width: 1100, height: 900 },
  env: { ...process.env, HOME: scratch, XDG_CONFIG_HOME: scratch, XDG_CACHE_HOME: scratch },
  args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync', '--proxy-server=http://127.0.0.1:9'],
});

function watched(page) {
  page.setDefaultTimeout(20_000);
  page.on('console', (message) => message.type() === 'error' && result.console.push(message.text()));
  page.on('pageerror', (error) => result.console.push(String(error)));
  page.on('request', (request) => result.requests.push({ method: request.method(), url: request.url(), referer: request.headers().referer ?? null }));
  return page;
}

const page = watched(context.pages()[0] ?? (await context.newPage()));
const heading = (name) => page.getByRole('heading', { name, exact: false });
const press = (name) => page.getByRole('button', { name, exact: true }).click();
const agree = () => page.getByRole('button', { name: 'Sign in as ann@example.com', exact: true }).click();

/** Signs in to a profile that nobody is signed in to. */
async function signIn(profile) {
  await page.getByLabel('Workspace', { exact: true }).selectOption(`profile:${profile}`);
  await press('Sign In');
  await agree();
  await heading(`You are signed in to ${profile}`).waitFor();
}

/** Pictures in light and dark, at the width of a phone and of a desktop; nothing may stick out. */
async function pictures(name) {
  for (const [kind, width] of [['phone', 390], ['desktop', 1100]]) {
    for (const scheme of ['light', 'dark']) {
      await page.setViewportSize({ width, height: kind === 'phone' ? 844 : 800 });
      await page.emulateMedia({ colorScheme: scheme });
      const wide = await page.evaluate(() => document.documentElement.scrollWidth);
      if (wide > width) throw new Error(`${name} is ${wide} wide on a ${kind}`);
      await page.screenshot({ path: join(folder, `${name}-${kind}-${scheme}.png`), fullPage: true });
    }
  }
  await page.setViewportSize({ width: 1100, height: 900 });
}

/** The contrast of every text to what is behind it (WCAG 2.2, 1.4.3), the lowest of the page in both schemes. */
async function contrast() {
  const lowest = [];
  for (const scheme of ['light', 'dark']) {
    await page.emulateMedia({ colorScheme: scheme });
    lowest.push(await page.evaluate(() => {
      const parts = (color) => color.match(/[\d.]+/g).map(Number);
      const light = (color) => {
        const [r, g, b] = parts(color).map((value) => value / 255).map((value) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4));
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
      };
      const behind = (element) => {
        for (let at = element; at; at = at.parentElement) {
          const color = getComputedStyle(at).backgroundColor;
          if ((parts(color)[3] ?? 1) > 0) return color;
        }
        return 'rgb(255,255,255)';
      };
      let lowest = 99;
      const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
      while (walk.nextNode()) {
        const element = walk.currentNode.parentElement;
        if (!walk.currentNode.data.trim() || !element.checkVisibility() || element.tagName === 'SCRIPT') continue;
        const [a, b] = [light(getComputedStyle(element).color), light(behind(element))].sort((x, y) => y - x);
        lowest = Math.min(lowest, (a + 0.05) / (b + 0.05));
      }
      return lowest;
    }));
  }
  return Math.min(...lowest);
}

const scenarios = {
  async whole() {
    seen.title = await page.title();
    seen.empty = await page.getByText('None.', { exact: true }).isVisible();
    seen.other = await page.getByLabel('Host of the other workspace').isVisible();
    await page.getByLabel('Workspace', { exact: true }).selectOption('host');
    seen.typed = await page.getByLabel('Host of the other workspace').isVisible();
    await signIn('ann');
    seen.address = page.url();
    seen.cookies = await context.cookies();
    seen.byScript = await page.evaluate(() => document.cookie);
    seen.text = await page.evaluate(() => document.body.innerText);
    seen.aria = await page.locator('body').ariaSnapshot();
    seen.contrast = await contrast();
    await pictures('signed-in');
    // Somebody who finds the link later.
    const stranger = watched(await (await context.browser()?.newContext() ?? context).newPage());
    await context.clearCookies();
    await stranger.goto(link);
    seen.stranger = await stranger.getByRole('heading', { level: 1 }).innerText();
    await stranger.close();
    await page.reload();
    seen.locked = await page.getByRole('heading', { level: 1 }).innerText();
  },
  async end() {
    await signIn('ann');
    await page.getByRole('button', { name: /^End session / }).click();
    await page.getByText(/^Session \w+ has ended; its token is gone/).waitFor();
    seen.empty = await page.getByText('None.', { exact: true }).isVisible();
    await page.getByLabel('Workspace', { exact: true }).selectOption('none');
    await press('Sign In');
    await heading('No workspace').waitFor();
    // Signed in already: there is nothing to ask.
    await page.getByLabel('Workspace', { exact: true }).selectOption('profile:ann');
    await press('Sign In');
    await heading('You are signed in to ann').waitFor();
    // One that is ended elsewhere goes from the page by itself.
    process.stdout.write('ready\n');
    await page.getByText('None.', { exact: true }).waitFor();
    await press('Close this page');
    seen.closed = await heading('The page has ended').isVisible();
  },
  async late() {
    await page.getByLabel('Workspace', { exact: true }).selectOption('profile:ann');
    await press('Sign In');
    await page.getByRole('button', { name: /^Sign in as/ }).first().waitFor();
    // Not now. Back at the page, which says so by itself.
    await page.goBack();
    await heading('Waiting for your sign-in to ann').waitFor();
    seen.waiting = await page.evaluate(() => document.body.innerText);
    await page.getByRole('alert').filter({ hasText: 'did not work' }).waitFor();
    seen.alert = await page.getByRole('alert').filter({ hasText: 'did not work' }).innerText();
    seen.contrast = await contrast();
    await page.reload();
    seen.focus = await page.evaluate(() => document.activeElement?.id);
    await pictures('failed');
    await press('Retry');
    await agree();
    await heading('You are signed in to ann').waitFor();
  },
  async denied() {
    await page.getByLabel('Workspace', { exact: true }).selectOption('profile:ann');
    await press('Sign In');
    await page.getByRole('button', { name: /^(cancel|deny)/i }).or(page.getByRole('link', { name: /^\W*(cancel|deny)/i })).first().click();
    seen.alert = await page.getByRole('alert').filter({ hasText: 'did not work' }).innerText();
    // And once more, to think better of it at our page.
    await press('Retry');
    await page.getByRole('button', { name: /^Sign in as/ }).first().waitFor();
    await page.goBack();
    await press('Cancel');
    await heading('Start a session').waitFor();
    seen.waiting = await heading('Waiting').count();
    await page.getByLabel('Workspace', { exact: true }).selectOption('host');
    await page.getByLabel('Host of the other workspace').fill('http://evil.example/<b>');
    await press('Sign In');
    seen.host = await page.getByRole('alert').filter({ hasText: 'did not work' }).innerText();
  },
  async keys() {
    const active = () => page.evaluate(() => document.activeElement?.id);
    seen.first = await active();
    // By its first letter, as in every list.
    await page.keyboard.type('p');
    seen.chosen = await page.evaluate(() => document.activeElement.value);
    await page.keyboard.press('Tab');
    seen.second = await active();
    await page.keyboard.press('Enter');
    await heading('You are signed in to p').waitFor();
    const reached = [];
    for (let count = 0; count < 12; count += 1) {
      await page.keyboard.press('Tab');
      const id = await active();
      reached.push(id || 'summary');
      if (id?.startsWith('end-')) break;
    }
    seen.reached = reached;
    seen.outline = await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle);
    await page.keyboard.press('Enter');
    await page.getByText(/^Session \w+ has ended; its token is gone/).waitFor();
  },
  async plain() {
    await signIn('ann');
    seen.text = await page.locator('body').innerText();
    // A workspace that is not known yet, and from now on is.
    await page.getByLabel('Workspace', { exact: true }).selectOption('host');
    await page.getByLabel('Host of the other workspace').fill(process.env.WORKSPACE);
    await page.getByLabel('Remember it as profile').fill('new one');
    await press('Sign In');
    await agree();
    await heading('You are signed in to new one').waitFor();
    await page.getByRole('button', { name: /^End session / }).first().click();
    await page.getByText(/^Session \w+ has ended; its token is gone/).waitFor();
    await page.getByRole('button', { name: /^End session / }).click();
    await page.getByText(/^Session \w+ has ended; its token is gone/).waitFor();
  },
};

try {
  await page.goto(link, { waitUntil: 'load' });
  await heading('Start a session').waitFor();
  await scenarios[scenario]();
} catch (error) {
  result.error = String(error?.message ?? error);
  result.at = page.url();
  result.text = await page.locator('body').innerText().catch(() => '');
}
await context.close().catch(() => {});
rmSync(scratch, { recursive: true, force: true, maxRetries: 5 });
process.stdout.write(`${JSON.stringify(result)}\n`);
process.exit(result.error ? 1 : 0);
