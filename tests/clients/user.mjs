// The person at the browser: opens an authorization URL in headless Chromium, signs in, ticks tiers, presses Authorize
// and ends on the client's own callback address.
//
//   node user.mjs AUTHORIZE_URL     prints one JSON object: what the person saw
//
// Who signs in and what is ticked come from the environment: USER_EMAIL, USER_PASSWORD, TIERS (comma-separated).
import { execFileSync } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { chromium } from 'playwright-core';

// A machine without a way out refuses what Chromium asks for by itself, many times at once: it asks for nothing.
const FLAGS = [
  '--no-sandbox', // root, as in a container, cannot have one
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];
const PATIENCE_MS = 20_000;

/** The person that the environment describes. */
export const user = () => ({
  email: process.env.USER_EMAIL,
  password: process.env.USER_PASSWORD,
  tiers: (process.env.TIERS ?? '').split(',').filter(Boolean),
});

/** Runs `act` with a page of a fresh headless Chromium. */
export async function withBrowser(act) {
  const profile = await mkdtemp(join(tmpdir(), 'doorward-chromium.'));
  const executablePath = execFileSync('sh', ['-c', 'command -v chromium'], { encoding: 'utf8' }).trim();
  const browser = await chromium.launchPersistentContext(profile, { executablePath, args: FLAGS });
  try {
    const page = browser.pages()[0] ?? (await browser.newPage());
    page.setDefaultTimeout(PATIENCE_MS);
    return await act(page);
  } finally {
    await browser.close();
    await rm(profile, { recursive: true, force: true, maxRetries: 5 });
  }
}

/** Goes the whole way from the authorization URL to the callback; fails on any page that is not expected. */
export const signIn = (authorizeUrl, person) => withBrowser((page) => authorize(page, authorizeUrl, person));

/** The same in a browser that is open already. */
export async function authorize(page, authorizeUrl, { email, password, tiers }) {
  const redirect = new URL(new URL(authorizeUrl).searchParams.get('redirect_uri'));
  await page.goto(authorizeUrl);

  await expectPage(page, 'login');
  await page.fill('input[name=email]', email);
  await page.fill('input[name=password]', password);
  await press(page, 'button[name=action][value=sign_in]', (url) => url.pathname !== '/login');

  await expectPage(page, 'consent');
  const form = page.locator('form:has(button[name=decision])');
  const seen = {
    client_label: await form.getAttribute('data-client-label'),
    redirect: await form.getAttribute('data-redirect'),
    text: (await page.innerText('body')).replace(/\s+/g, ' '),
    tiers: await form.locator('input[name=tier]').evaluateAll((all) => all.map((tick) => [tick.value, tick.checked])),
  };
  for (const tier of tiers) await form.locator(`input[name=tier][value="${tier}"]`).check();
  await press(
    page,
    'button[name=decision][value=authorize]',
    (url) => url.origin === redirect.origin && url.pathname === redirect.pathname,
  );
  return { ...seen, callback: await page.innerText('body') };
}

/** Signs out where a client sends its user for that, and comes back to the client's own address. */
export async function signOut(page, endSessionUrl) {
  const back = new URL(new URL(endSessionUrl).searchParams.get('post_logout_redirect_uri'));
  await page.goto(endSessionUrl);
  await expectPage(page, 'logout');
  await press(page, 'main form button', (url) => url.origin === back.origin && url.pathname === back.pathname);
}

async function expectPage(page, kind) {
  const found = await page.getAttribute('body', 'data-page').catch(() => null);
  if (found !== kind) throw new Error(`expected the ${kind} page at ${page.url()}: ${await page.content()}`);
}

async function press(page, button, arrived) {
  await page.click(button);
  await page.waitForURL(arrived).catch(async () => {
    throw new Error(`${button} led to ${page.url()}: ${await page.content()}`);
  });
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  console.log(JSON.stringify(await signIn(process.argv[2], user())));
}
