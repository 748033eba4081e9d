// Relying parties that are told of logouts, as strict as jose makes them (OpenID Connect Back-Channel Logout 1.0 §2.6).
//
//   node receiver.mjs       prints one line of JSON for each request
//
// The first part of a path is the client that is told there, the second how it answers: ok, flaky (fails the first time),
// never (always fails), away (sends the caller elsewhere) and hangs (does not answer).
import { createServer } from 'node:http';
import { createRemoteJWKSet, jwtVerify } from 'jose';
import { report } from './driver.mjs';

const { ISSUER, PORT } = process.env;
const EVENT = 'http://schemas.openid.net/event/backchannel-logout';
const known = new Set();
const failed = new Set();
let keys;

async function verify(audience, body) {
  const form = new URLSearchParams(body);
  if ([...form.keys()].join() !== 'logout_token') throw new Error(`the form has ${[...form.keys()]}`);
  keys ??= createRemoteJWKSet(new URL((await (await fetch(`${ISSUER}/.well-known/openid-configuration`)).json()).jwks_uri));
  const { payload, protectedHeader } = await jwtVerify(form.get('logout_token'), keys, {
    issuer: ISSUER,
    audience,
    typ: 'logout+jwt',
    algorithms: ['RS256'],
    requiredClaims: ['iat', 'exp', 'jti', 'events', 'sub', 'sid'],
    maxTokenAge: '2m',
  });
  if (typeof payload.aud !== 'string') throw new Error('more than one audience');
  if ('nonce' in payload) throw new Error('a logout token has no nonce');
  if (JSON.stringify(payload.events) !== JSON.stringify({ [EVENT]: {} })) throw new Error('another event');
  if (payload.exp - payload.iat > 120) throw new Error('it lives for too long');
  if (known.has(payload.jti)) throw new Error('the token was seen before');
  known.add(payload.jti);
  return { claims: payload, kid: protectedHeader.kid };
}

createServer(async (request, response) => {
  const [, client, manner] = new URL(request.url, 'http://127.0.0.1').pathname.split('/');
  let body = '';
  for await (const chunk of request) body += chunk;
  const { method, headers } = request;
  const facts = { client, manner, method, type: headers['content-type'], cookie: headers.cookie };
  const told = await verify(client, body).catch((error) => ({ error: String(error) }));
  const answer = () => {
    if (told.error) return 400;
    if (manner === 'never') return 500;
    if (manner === 'away') return 307;
    if (manner === 'flaky' && !failed.has(told.claims.sid)) {
      failed.add(told.claims.sid);
      return 503;
    }
    return manner === 'ok' || manner === 'flaky' ? 200 : 404;
  };
  report('told', { ...facts, ...told });
  if (manner === 'hangs') return;
  response.writeHead(answer(), { location: `/${client}/elsewhere`, 'cache-control': 'no-store' }).end('x'.repeat(100_000));
}).listen(Number(PORT), '127.0.0.1', () => report('ready', {}));
