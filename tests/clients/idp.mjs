// An OpenID Connect provider that is none of ours (npm `oidc-provider`), set up as an operator would for a company: one
// confidential client, e-mail addresses, groups, refresh tokens for offline_access.
//
//   node idp.mjs PORT REDIRECT_URI PEOPLE
//
// PEOPLE is a file that is read at each question, so that a test can change what is true in between:
//   {"carol": {"email": "carol@corp.test", "groups": ["staff"]}}
// CLIENT_ID and CLIENT_SECRET come from the environment.
import { readFileSync } from 'node:fs';
import Provider from 'oidc-provider';

const [port, redirectUri, people] = process.argv.slice(2);

const provider = new Provider(`http://127.0.0.1:${port}`, {
  clients: [
    {
      client_id: process.env.CLIENT_ID,
      client_secret: process.env.CLIENT_SECRET,
      redirect_uris: [redirectUri],
      grant_types: ['authorization_code', 'refresh_token'],
      response_types: ['code'],
    },
  ],
  claims: { openid: ['sub', 'groups'], email: ['email', 'email_verified'], profile: ['name'] },
  cookies: { keys: ['cookies of a test'] },
  findAccount: (_, id) => {
    const account = JSON.parse(readFileSync(people, 'utf8'))[id];
    return account && { accountId: id, claims: () => ({ sub: id, name: id, email_verified: true, ...account }) };
  },
  features: { devInteractions: { enabled: true } },
});
// Where a test looks whether it listens.
provider.use(async (context, next) => (context.path === '/readyz' ? (context.body = 'ready') : next()));
provider.listen(Number(port), '127.0.0.1');
