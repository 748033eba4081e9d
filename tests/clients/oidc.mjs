// What both OpenID Connect libraries go through as a server-side application that an administrator registered. The story knows
// nothing of either; each driver hands it the few verbs it needs. Whatever a library finds wrong with an answer ends the story.
//
// CLIENTS is a JSON list of { id, secret, method }, RESOURCE_SERVER one { id, secret }. USER_EMAIL, USER_PASSWORD and TIERS say
// who signs in. The issuer is on loopback, where there is no https: `allowInsecureRequests` is the one option a driver sets.
import { inspect } from 'node:util';
import { listen, report } from './driver.mjs';
import { authorize, signOut, user, withBrowser } from './user.mjs';

const { ISSUER, RESOURCE, CALLBACK_PORT, CLIENTS, RESOURCE_SERVER } = process.env;

/** Runs the story for every client. `library` has `discover(issuer, client)` → the verbs of that client. */
export async function story(library) {
  const listener = await listen(Number(CALLBACK_PORT), ['/callback', '/signed-out']);
  try {
    await withBrowser(async (page) => {
      for (const client of JSON.parse(CLIENTS)) await chapter(library, client, page, listener);
    });
  } catch (error) {
    report('failed', { reason: inspect(error, { depth: 6 }) });
    process.exitCode = 1;
  } finally {
    listener.close();
  }
}

async function chapter(library, client, page, listener) {
  const [redirect_uri, post_logout_redirect_uri] = listener.uris;
  const rp = await library.discover(new URL(ISSUER), client);

  const request = await rp.begin({
    redirect_uri,
    scope: 'openid profile email offline_access',
    resource: RESOURCE,
    max_age: '300',
    login_hint: user().email,
  });
  const [, callback] = await Promise.all([authorize(page, String(request.url), user()), listener.next()]);
  const back = new URL(redirect_uri);
  back.search = callback;
  const tokens = await rp.finish(request, back);
  report(`${client.method}: signed_in`, {
    claims: tokens.claims,
    scope: tokens.scope,
    expires_in: tokens.expires_in,
    nonce: request.nonce,
  });

  report(`${client.method}: userinfo`, { userinfo: await rp.userinfo(tokens) });

  const renewed = await rp.refresh(tokens);
  report(`${client.method}: refreshed`, {
    claims: renewed.claims,
    new_access_token: renewed.access_token !== tokens.access_token,
    new_refresh_token: renewed.refresh_token !== tokens.refresh_token,
  });

  // A resource server asks about the token that came, and so does the client itself, if it can prove who it is.
  const server = await library.discover(new URL(ISSUER), JSON.parse(RESOURCE_SERVER));
  report(`${client.method}: introspected`, {
    by_resource_server: await server.introspect(renewed.access_token),
    by_client: client.secret ? await rp.introspect(renewed.access_token) : undefined,
  });

  await rp.revoke(renewed.refresh_token);
  const over = await rp.refresh(renewed).then(
    () => 'refreshed',
    (error) => error.error,
  );
  report(`${client.method}: revoked`, { refresh: over, token: await server.introspect(renewed.access_token) });

  const state = crypto.randomUUID();
  const end = rp.endSession({ post_logout_redirect_uri, id_token_hint: renewed.id_token, state });
  const [, out] = await Promise.all([signOut(page, String(end)), listener.next()]);
  report(`${client.method}: signed_out`, { state: out.get('state') === state });
}
