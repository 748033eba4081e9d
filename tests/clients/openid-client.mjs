// npm `openid-client`, with every check that it has.
import * as client from 'openid-client';
import { story } from './oidc.mjs';

const METHODS = {
  none: () => client.None(),
  client_secret_basic: (secret) => client.ClientSecretBasic(secret),
  client_secret_post: (secret) => client.ClientSecretPost(secret),
};

await story({
  async discover(issuer, { id, secret, method }) {
    const metadata = { require_auth_time: true, default_max_age: 300 };
    const options = { execute: [client.allowInsecureRequests, client.enableNonRepudiationChecks] };
    const config = await client.discovery(issuer, id, metadata, METHODS[method](secret), options);
    const told = (answer) => ({ ...answer, claims: answer.claims() });
    return {
      async begin(parameters) {
        const verifier = client.randomPKCECodeVerifier();
        const [state, nonce] = [client.randomState(), client.randomNonce()];
        const code_challenge = await client.calculatePKCECodeChallenge(verifier);
        const pkce = { code_challenge, code_challenge_method: 'S256' };
        const url = client.buildAuthorizationUrl(config, { ...parameters, ...pkce, state, nonce });
        return { url, verifier, state, nonce, max_age: Number(parameters.max_age) };
      },
      async finish({ verifier, state, nonce, max_age }, back) {
        const checks = { expectedState: state, expectedNonce: nonce, maxAge: max_age, idTokenExpected: true };
        return told(await client.authorizationCodeGrant(config, back, { pkceCodeVerifier: verifier, ...checks }));
      },
      refresh: async (tokens) => told(await client.refreshTokenGrant(config, tokens.refresh_token)),
      userinfo: (tokens) => client.fetchUserInfo(config, tokens.access_token, tokens.claims.sub),
      introspect: (token) => client.tokenIntrospection(config, token, { token_type_hint: 'access_token' }),
      revoke: (token) => client.tokenRevocation(config, token, { token_type_hint: 'refresh_token' }),
      endSession: (parameters) => client.buildEndSessionUrl(config, parameters),
    };
  },
});
