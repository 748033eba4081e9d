// The pages as people with other eyes and hands meet them: axe-core (WCAG 2.2 AA) on each, in light, in dark and on a phone; no
// page wider than its window, even at 400 %; everything reached with the Tab key alone, and seen when it is.
//
//   node pages.mjs ISSUER SEVERAL ONE RESET   prints one JSON object for each look at a page
//
// SEVERAL and ONE are authorization URLs at which the data of several organizations can be chosen, and of one. RESET is a link
// with which a password is chosen anew.
// USER_EMAIL and USER_PASSWORD say who. SCREENSHOTS names a folder for pictures of the pages, if there are to be any.
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { withBrowser } from './user.mjs';

const [issuer, authorizeUrl, oneOrganization, reset] = process.argv.slice(2);
const { USER_EMAIL, USER_PASSWORD, SCREENSHOTS } = process.env;
const axe = await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const tags = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'];

const LOOKS = [
  ['light', 'light', 1280],
  ['dark', 'dark', 1280],
  ['phone', 'light', 390],
  // 400 % of a window of 1280 (WCAG 1.4.10).
  ['large', 'dark', 320],
];

// What Tab reaches, and whether one sees where one is.
async function tabs(page) {
  const reached = [];
  // It begins wherever the page has put the focus, goes out at the end, and comes in again at the beginning.
  for (let i = 0; i < 300; i += 1) {
    await page.keyboard.press('Tab');
    const at = await page.evaluate(() => {
      const one = document.activeElement;
      if (!one || one === document.body) return null;
      if (one.dataset.reached) return 'again';
      const style = getComputedStyle(one);
      const label = one.closest('label') && getComputedStyle(one.closest('label'));
      const seen = [style, label].some((s) => s && ((s.outlineStyle !== 'none' && parseFloat(s.outlineWidth) > 0) || s.boxShadow !== 'none'));
      one.dataset.reached = 'yes';
      return { seen, what: `${one.tagName} ${one.name ?? ''} ${one.value ?? one.innerText ?? ''}`.slice(0, 60) };
    });
    if (at === 'again') break;
    if (at) reached.push(at);
  }
  // Of radio buttons of one name the Tab key reaches one, the arrows the others.
  const missed = await page.evaluate(() =>
    [...document.querySelectorAll('a[href], button, input:not([type=hidden]), select, textarea, summary')]
      .filter((one) => one.offsetParent !== null && !one.disabled && one.type !== 'radio' && !one.dataset.reached)
      .map((one) => one.outerHTML.slice(0, 120)),
  );
  return { missed, unseen: reached.filter((at) => !at.seen).map((at) => at.what) };
}

async function judged(page) {
  await page.evaluate(axe);
  return page.evaluate((values) => window.axe.run(document, { runOnly: { type: 'tag', values } }), tags);
}

async function look(page, name) {
  for (const [word, colorScheme, width] of LOOKS) {
    await page.emulateMedia({ colorScheme });
    await page.setViewportSize({ width, height: 900 });
    if (SCREENSHOTS) await page.screenshot({ path: `${SCREENSHOTS}/${name}-${word}.png`, fullPage: true });
    // A window that is smaller still shows what the phone shows.
    const { violations } = word === 'large' ? { violations: [] } : await judged(page);
    const wide = await page.evaluate(() => document.documentElement.scrollWidth > window.innerWidth);
    const keyboard = word === 'light' ? await tabs(page) : { missed: [], unseen: [] };
    const found = violations.flatMap(({ id, nodes }) => nodes.map((node) => `${id}: ${node.html.slice(0, 200)} ${node.any[0]?.message ?? ''}`));
    console.log(JSON.stringify({ page: name, look: word, found, wide, ...keyboard }));
  }
}

const unfold = (page) => page.evaluate(() => document.querySelectorAll('details').forEach((one) => { one.open = true; }));

const press = async (page, button) => {
  await Promise.all([page.waitForEvent('framenavigated'), page.click(button)]);
  await page.waitForLoadState();
};

await withBrowser(async (page) => {
  // First: whoever forgets the password gets another link, and this one is over.
  await page.goto(reset);
  await look(page, 'reset');
  await page.goto(`${issuer}/forgot`);
  await look(page, 'forgot');
  await page.fill('input[name=email]', USER_EMAIL);
  await press(page, 'button[name=action][value=ask]');
  await look(page, 'forgot-asked');
  await page.goto(authorizeUrl);
  await look(page, 'login');
  await page.fill('input[name=email]', USER_EMAIL);
  await page.fill('input[name=password]', 'a wrong guess');
  await press(page, 'button[name=action][value=sign_in]');
  await look(page, 'login-again');
  await page.fill('input[name=email]', USER_EMAIL);
  await page.fill('input[name=password]', USER_PASSWORD);
  await press(page, 'button[name=action][value=sign_in]');
  // With everything open that can be opened.
  await unfold(page);
  await look(page, 'consent');
  // A folder of another organization than the chosen one.
  await page.locator('input[name=node]').last().check();
  await press(page, 'button[name=decision][value=authorize]');
  await unfold(page);
  await look(page, 'consent-again');
  await page.goto(oneOrganization);
  await look(page, 'consent-one');
  for (const path of ['', 'account', 'account/apps', 'account/keys', 'account/passkeys', 'account/password', 'account/code', 'account/sessions', 'oauth2/logout', 'oauth2/authorize']) {
    await page.goto(`${issuer}/${path}`);
    await unfold(page);
    await look(page, path.replace(/\W/g, '-') || 'home');
  }
  await page.goto(`${issuer}/account/keys`);
  await page.fill('input[name=name]', 'Report');
  await page.check('input[name=kind][value=granular]');
  for (const [i, node, tier] of [[1, 'alpha', 'read'], [2, 'alpha/site', 'write'], [3, 'alpha/site/specs', 'destroy']]) {
    await page.fill(`input[name=node${i}]`, node);
    await page.selectOption(`select[name=tier${i}]`, tier);
  }
  await press(page, 'button[value=create]');
  await look(page, 'key-made');
  await page.goto(`${issuer}/account/keys`);
  await press(page, 'button[name=revoke]');
  await look(page, 'key-revoked');
  // Somebody else's browser, through the provider: the account is here already, so both are to be linked.
  await page.context().clearCookies();
  await page.goto(`${issuer}/login`);
  await press(page, 'a[data-provider]');
  await page.waitForURL((url) => url.pathname === '/login' && url.searchParams.has('then'));
  await look(page, 'login-to-link');
  await page.fill('input[name=email]', USER_EMAIL);
  await page.fill('input[name=password]', USER_PASSWORD);
  await press(page, 'button[name=action][value=sign_in]');
  await look(page, 'link-accounts');
  await press(page, 'button[name=action][value=link]');
  await page.goto(`${issuer}/account/providers`);
  await look(page, 'account-providers');
});
