// The person at the browser with a device that keeps passkeys: Chromium's virtual authenticator.
//
//   node passkey.mjs ISSUER       prints one JSON object: what happened at each step
//
// USER_EMAIL and USER_PASSWORD say who. SCREENSHOTS names a folder for pictures of the pages, if there are to be any.
import { withBrowser } from './user.mjs';

const issuer = process.argv[2];
const { USER_EMAIL, USER_PASSWORD } = process.env;

const kind = (page) => page.getAttribute('body', 'data-page');
const words = async (page) => (await page.innerText('main')).replace(/\s+/g, ' ');
// Every navigation is waited for, so that the next look is at the next page.
const leave = async (page, act) => {
  const gone = page.waitForEvent('framenavigated');
  await act();
  await gone;
  await page.waitForLoadState();
};

async function signIn(page) {
  await page.fill('input[name=email]', USER_EMAIL);
  await page.fill('input[name=password]', USER_PASSWORD);
  await leave(page, () => page.click('button[name=action][value=sign_in]'));
}

async function signOut(page) {
  await page.goto(`${issuer}/account`);
  await leave(page, () => page.click('footer button'));
}

const steps = await withBrowser(async (page) => {
  const seen = {};
  const devtools = await page.context().newCDPSession(page);
  await devtools.send('WebAuthn.enable');
  const device = {
    protocol: 'ctap2',
    transport: 'internal',
    hasResidentKey: true,
    hasUserVerification: true,
    isUserVerified: true,
    automaticPresenceSimulation: true,
  };
  const { authenticatorId } = await devtools.send('WebAuthn.addVirtualAuthenticator', { options: device });
  const credentials = async () => (await devtools.send('WebAuthn.getCredentials', { authenticatorId })).credentials;
  const verifies = (isUserVerified) => devtools.send('WebAuthn.setUserVerified', { authenticatorId, isUserVerified });

  await page.goto(`${issuer}/login?then=passkeys`);
  seen.offered = await page.isVisible('#passkey');
  await signIn(page);
  seen.empty = await words(page);
  await page.fill('form[data-passkey] input[name=name]', 'Test device');
  await leave(page, () => page.click('#add'));
  seen.added = await words(page);
  const [made] = await credentials();
  seen.resident = made.isResidentCredential;
  seen.rp = made.rpId;

  // The same device is not registered twice.
  await page.fill('form[data-passkey] input[name=name]', 'Again');
  await page.click('#add');
  await page.waitForSelector('form[data-passkey] [role=alert]:visible');
  seen.again = await page.innerText('form[data-passkey] [role=alert]');

  // A name, and no password: the device knows who.
  await signOut(page);
  await page.goto(`${issuer}/login?then=passkeys`);
  await leave(page, () => page.click('#passkey'));
  seen.signed_in = [await kind(page), await words(page)];
  const [used] = await credentials();
  seen.counted = used.signCount > made.signCount;

  // A device that does not make sure who is there is of no use.
  await signOut(page);
  await page.goto(`${issuer}/login`);
  await verifies(false);
  await page.click('#passkey');
  await page.waitForSelector('form[data-passkey] [role=alert]:visible');
  seen.unverified = [await kind(page), await page.innerText('form[data-passkey] [role=alert]')];
  await verifies(true);

  // A copy that is behind: the count goes back, and the copy is not let in.
  await devtools.send('WebAuthn.removeCredential', { authenticatorId, credentialId: used.credentialId });
  await devtools.send('WebAuthn.addCredential', { authenticatorId, credential: { ...used, signCount: 0 } });
  await page.goto(`${issuer}/login`);
  await leave(page, () => page.click('#passkey'));
  seen.copied = [await kind(page), await words(page)];
  await devtools.send('WebAuthn.removeCredential', { authenticatorId, credentialId: used.credentialId });
  await devtools.send('WebAuthn.addCredential', { authenticatorId, credential: { ...used, signCount: 1000 } });

  // Renamed and removed: after that the device opens nothing.
  await page.goto(`${issuer}/login?then=passkeys`);
  await leave(page, () => page.click('#passkey'));
  seen.back = await kind(page);
  await page.click('details summary');
  await page.fill('details input[name=name]', 'My phone');
  await leave(page, () => page.click('details button'));
  seen.renamed = await words(page);
  await leave(page, () => page.click('button[name=remove]'));
  seen.removed = await words(page);
  await signOut(page);
  await page.goto(`${issuer}/login`);
  await leave(page, () => page.click('#passkey'));
  seen.gone = [await kind(page), await words(page)];
  return seen;
});
console.log(JSON.stringify(steps));
