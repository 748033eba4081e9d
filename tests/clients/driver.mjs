// What both TypeScript drivers share: reporting, watching, a credential file, the callback listener, and the story
// itself. The story knows nothing of either SDK; each driver hands it the few verbs it needs.
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { inspect } from 'node:util';
import { signIn, user } from './user.mjs';

/** Prints one step as a line of JSON. */
export const report = (step, facts) => console.log(JSON.stringify({ step, ...facts }));

/** The requests since the last call: `[method, path, status, grant_type]`. Nothing is changed on the way. */
const seen = [];
export const watched = () => seen.splice(0);

export async function watch(input, init) {
  const response = await fetch(input, init);
  const body = init?.body instanceof URLSearchParams ? init.body : undefined;
  const url = new URL(input instanceof Request ? input.url : input);
  seen.push([init?.method ?? 'GET', url.pathname, response.status, body?.get('grant_type') ?? undefined]);
  return response;
}

/** Listens where the browser comes back to; `next()` gives the parameters of the next visit. */
export async function listen(port = 0, paths = ['/callback']) {
  const waiting = [];
  const server = createServer((request, response) => {
    const url = new URL(request.url, 'http://127.0.0.1');
    const known = paths.includes(url.pathname);
    response.writeHead(known ? 200 : 404, { 'content-type': 'text/plain' }).end(known ? 'You can close this tab.' : '');
    if (known) waiting.shift()?.(url.searchParams);
  });
  await new Promise((ready) => server.listen(port, '127.0.0.1', ready));
  const origin = `http://127.0.0.1:${server.address().port}`;
  return {
    uri: `${origin}${paths[0]}`,
    uris: paths.map((path) => `${origin}${path}`),
    next: () => new Promise((resolve) => waiting.push(resolve)),
    close: () => server.close(),
  };
}

/** An OAuthClientProvider over a credential file, as a command-line client has one. Both SDKs take this shape. */
export class FileProvider {
  constructor(file, redirectUrl, clientName) {
    this.file = file;
    this.redirectUrl = redirectUrl;
    this.clientMetadata = {
      client_name: clientName,
      redirect_uris: [redirectUrl],
      grant_types: ['authorization_code', 'refresh_token'],
      response_types: ['code'],
      token_endpoint_auth_method: 'none',
    };
    this.signIns = 0;
  }
  get stored() {
    return existsSync(this.file) ? JSON.parse(readFileSync(this.file, 'utf8')) : {};
  }
  keep(change) {
    writeFileSync(this.file, JSON.stringify({ ...this.stored, ...change }));
  }

  state() {
    const state = crypto.randomUUID();
    this.keep({ state });
    return state;
  }
  clientInformation = () => this.stored.client;
  saveClientInformation = (client) => this.keep({ client });
  tokens = () => this.stored.tokens;
  saveTokens = (tokens) => this.keep({ tokens });
  codeVerifier = () => this.stored.verifier;
  saveCodeVerifier = (verifier) => this.keep({ verifier });
  discoveryState = () => this.stored.discovery;
  saveDiscoveryState = (discovery) => this.keep({ discovery });
  redirectToAuthorization(url) {
    this.authorizeUrl = String(url);
  }
  invalidateCredentials(what) {
    for (const name of ['client', 'tokens', 'verifier', 'discovery']) {
      if (what === 'all' || what === name) this.keep({ [name]: undefined });
    }
  }

  /** The access token becomes one that the MCP server refuses, as it does with one that has expired. */
  expire() {
    const tokens = this.tokens();
    this.keep({ tokens: { ...tokens, access_token: `${tokens.access_token}x` } });
  }

  /** Takes the person to the address that the SDK asked for, and gives what the callback got. */
  async sendUserOff(listener) {
    const url = this.authorizeUrl;
    this.authorizeUrl = undefined;
    const [saw, callback] = await Promise.all([signIn(url, user()), listener.next()]);
    if (callback.get('state') !== this.stored.state) throw new Error('the callback carries a foreign state');
    if (!callback.get('code')) throw new Error(`no code came back: ${callback}`);
    this.signIns += 1;
    return { url, saw, callback };
  }
}

/**
 * The story. `sdk` has `connect(provider, fetch)` → `{ client, finish(callback) }`, where the first call on `client`
 * that lacks authorization throws what `unauthorized(error)` recognises.
 */
export async function story(name, sdk) {
  const mcpUrl = new URL(process.env.MCP_URL);
  const listener = await listen();
  const provider = new FileProvider(process.env.CREDENTIALS, listener.uri, name);
  try {
    // From the MCP URL alone: 401, discovery, registration, browser, token.
    let connection = await sdk.connect(mcpUrl, provider, watch).catch((error) => {
      if (!sdk.unauthorized(error)) throw error;
    });
    if (connection) throw new Error('the server let a client in without a token');
    const first = await provider.sendUserOff(listener);
    await sdk.finish(first.callback);
    connection = await sdk.connect(mcpUrl, provider, watch);
    const tokens = provider.tokens();
    report('signed_in', {
      requests: watched(),
      client_id: provider.clientInformation().client_id,
      redirect_uri: listener.uri,
      authorize: Object.fromEntries(new URL(first.url).searchParams),
      saw: first.saw,
      callback: Object.fromEntries(first.callback),
      token: { ...tokens, access_token: undefined, refresh_token: undefined, id_token: undefined },
    });

    const { client } = connection;
    // What an SDK keeps from an earlier list would prove nothing about the token of now.
    const list = () => client.listTools(undefined, { cacheMode: 'bypass' });
    const toolNames = async () => (await list()).tools.map((tool) => tool.name).sort();
    report('tools', { names: await toolNames() });
    report('whoami', { result: await client.callTool({ name: 'whoami', arguments: {} }) });
    const file = { filename: 'note.txt', content: Buffer.from(`from ${name}`).toString('base64') };
    report('stored', { result: await client.callTool({ name: 'store_artifact', arguments: file }) });

    watched();
    provider.expire();
    const names = await toolNames();
    const renewed = provider.tokens();
    report('refreshed', {
      requests: watched(),
      names,
      sign_ins: provider.signIns,
      new_access_token: renewed.access_token !== tokens.access_token,
      new_refresh_token: renewed.refresh_token !== tokens.refresh_token,
    });

    report('replayed', await replay(mcpUrl, provider.clientInformation().client_id, tokens.refresh_token));

    // The SDK knows nothing of that: it goes on with what it has, which is dead now.
    provider.expire();
    const refused = await toolNames().catch((error) => error);
    if (!sdk.unauthorized(refused)) throw new Error('dead credentials were not refused', { cause: refused });
    const again = await provider.sendUserOff(listener);
    await sdk.finish(again.callback);
    const recovered = await toolNames();
    report('recovered', { names: recovered, requests: watched(), sign_ins: provider.signIns, saw: again.saw });
    await client.close();
  } catch (error) {
    report('failed', { reason: inspect(error), requests: watched() });
    process.exitCode = 1;
  } finally {
    listener.close();
  }
}

/** Presents a spent refresh token once, as a second process with an old copy of the credential file would. */
async function replay(mcpUrl, client_id, refresh_token) {
  const where = new URL(`/.well-known/oauth-protected-resource${mcpUrl.pathname}`, mcpUrl);
  const resource = await (await fetch(where)).json();
  const issuer = resource.authorization_servers[0];
  const server = await (await fetch(`${issuer}/.well-known/oauth-authorization-server`)).json();
  const body = new URLSearchParams({ grant_type: 'refresh_token', refresh_token, client_id });
  const response = await fetch(server.token_endpoint, { method: 'POST', body });
  return { status: response.status, body: await response.json() };
}
