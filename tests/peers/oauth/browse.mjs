// A person with a browser: opens a sign-in link in headless Chromium, signs in, agrees, and looks at the page where that ends.
//
//   browse.mjs URL FOLDER [SOCKET]
//
// It walks the login and consent pages of oidc-provider, and presses the button that begins with "Sign in" on the embedded workspace's
// page. It ends on a page of the server that the link's redirect_uri names, wherever in the link that stands.
//
// Environment:
//   BROWSE_AS       who signs in (alice@example.com, or whoever comes first where names are offered)
//   BROWSE_ANSWER   `agree` (default); `cancel` presses the first thing that begins with "Cancel" or "Deny"
//
// Prints one line of JSON, and where a SOCKET is given, a Unix socket that a test listens at, sends it there too:
//   {url, title, text, aria, requests: [{method, url, referer, status, failure}], console: […], steps: […], error}
// `text` is what is visible, `aria` the accessibility tree, `console` the errors of the console and of scripts as {page, text}, `steps` the
// pages on the way. FOLDER gets screenshot.png. Only loopback can be reached. When the socket's other end closes, it gives up.

import { mkdtempSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { load } from './packages.mjs';

const [link, folder, socketPath] = process.argv.slice(2);
if (!link || !folder) {
  console.error('browse.mjs URL FOLDER [SOCKET]');
  process.exit(2);
}
const patience = 30_000;
const scratch = mkdtempSync(join(tmpdir(), 'browse-'));
let context;

async function end(code) {
  await context?.close().catch(() => {});
  rmSync(scratch, { recursive: true, force: true, maxRetries: 5 });
  process.exit(code);
}
for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP']) {
  process.on(signal, () => end(1));
}
let socket;
if (socketPath) {
  // Nobody listens any more: nobody wants to know. Our own end stays open until everything is cleared away.
  socket = connect({ path: socketPath, allowHalfOpen: true }).on('error', () => end(1)).on('end', () => end(1)).resume();
}

/** The redirect_uri of a link, also of one inside another, as in the destination_url of a login page that finds the workspace. */
function redirectOf(text, depth = 3) {
  let url;
  try {
    url = new URL(text, 'http://127.0.0.1');
  } catch {
    return undefined;
  }
  const direct = url.searchParams.get('redirect_uri');
  if (direct || depth === 0) {
    return direct ?? undefined;
  }
  return [...url.searchParams.values()].map((value) => redirectOf(value, depth - 1)).find(Boolean);
}

const result = { url: '', title: '', text: '', aria: '', requests: [], console: [], steps: [] };
try {
  const { chromium } = (await load('playwright-core')).default;
  context = await chromium.launchPersistentContext(join(scratch, 'profile'), {
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    headless: true,
    chromiumSandbox: false,
    env: { ...process.env, HOME: scratch, XDG_CONFIG_HOME: scratch, XDG_CACHE_HOME: scratch },
    args: [
      '--headless',
      '--no-sandbox',
      '--disable-gpu',
      // Containers have little of it.
      '--disable-dev-shm-usage',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
      // Everything that is not loopback goes to a proxy that is not there, names and numbers alike.
      '--proxy-server=http://127.0.0.1:9',
    ],
    timeout: patience,
  });
  const page = context.pages()[0] ?? (await context.newPage());
  page.setDefaultTimeout(patience);

  const entries = new Map();
  page.on('request', (request) => {
    const entry = { method: request.method(), url: request.url(), referer: request.headers().referer ?? null, status: null, failure: null };
    entries.set(request, entry);
    result.requests.push(entry);
  });
  page.on('response', (response) => {
    const entry = entries.get(response.request());
    if (entry) entry.status = response.status();
  });
  page.on('requestfailed', (request) => {
    const entry = entries.get(request);
    if (entry) entry.failure = request.failure()?.errorText ?? 'failed';
  });
  page.on('console', (message) => {
    if (message.type() === 'error') result.console.push({ page: page.url(), text: message.text() });
  });
  page.on('pageerror', (error) => result.console.push({ page: page.url(), text: String(error) }));

  const callback = new URL(redirectOf(link) ?? 'http://localhost:8020');
  // Whatever its path: the program may send the browser on, to take the code out of the address.
  const isCallback = (url) => url.origin === callback.origin;
  const cancelling = process.env.BROWSE_ANSWER === 'cancel';

  await page.goto(link, { waitUntil: 'load' });
  while (!isCallback(new URL(page.url()))) {
    const login = page.locator('input[name=login]');
    const refuse = page.getByRole('button', { name: /^(cancel|deny)/i }).or(page.getByRole('link', { name: /^\W*(cancel|deny)/i }));
    const agree = page.getByRole('button', { name: /^(sign in|continue)/i });
    const here = page.url();
    let press;
    if (cancelling && (await refuse.count())) {
      press = refuse.first();
    } else if (await login.count()) {
      await login.fill(process.env.BROWSE_AS || 'alice@example.com');
      await page.locator('input[name=password]').fill('not looked at');
      press = page.locator('[type=submit]').first();
    } else if (await agree.count()) {
      // A workspace has a button for each of its users; one who was named is not to sign in as another.
      const own = process.env.BROWSE_AS && (await page.getByRole('button', { name: /^sign in as /i }).count());
      press = own ? page.getByRole('button', { name: `Sign in as ${process.env.BROWSE_AS}`, exact: true }) : agree.first();
      if (!(await press.count())) {
        throw new Error(`nobody to sign in as ${process.env.BROWSE_AS} on ${here}`);
      }
    } else {
      throw new Error(`nothing to press on ${here}`);
    }
    result.steps.push(here);
    if (result.steps.length > 10) {
      throw new Error('the sign-in goes round in circles');
    }
    await Promise.all([page.waitForEvent('framenavigated'), press.click()]);
    await page.waitForLoadState('load');
  }
  // Rendered: fonts are there and two frames are drawn.
  await page.evaluate(async () => {
    await document.fonts.ready;
    await new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn)));
  });
} catch (error) {
  result.error = String(error?.message ?? error);
}
try {
  const page = context?.pages()[0];
  if (page) {
    result.url = page.url();
    result.title = await page.title();
    result.text = await page.evaluate(() => document.body?.innerText ?? '');
    result.aria = await page.locator('body').ariaSnapshot();
    await page.screenshot({ path: join(folder, 'screenshot.png') });
  }
} catch (error) {
  result.error ??= String(error?.message ?? error);
}
await context?.close().catch(() => {});
rmSync(scratch, { recursive: true, force: true, maxRetries: 5 });
const line = `${JSON.stringify(result)}\n`;
process.stdout.write(line);
if (socket) {
  socket.removeAllListeners('end');
  await new Promise((sent) => socket.end(line, sent));
}
process.exit(result.error ? 1 : 0);
