// npm `oauth4webapi`, step by step as its users write it, with every check that it has.
import * as oauth from 'oauth4webapi';
import { story } from './oidc.mjs';

const METHODS = {
  none: () => oauth.None(),
  client_secret_basic: (secret) => oauth.ClientSecretBasic(secret),
  client_secret_post: (secret) => oauth.ClientSecretPost(secret),
};
const loopback = { [oauth.allowInsecureRequests]: true };

await story({
  async discover(issuer, { id, secret, method }) {
    const found = await oauth.discoveryRequest(issuer, { algorithm: 'oidc', ...loopback });
    const as = await oauth.processDiscoveryResponse(issuer, found);
    const client = { client_id: id, require_auth_time: true };
    const auth = METHODS[method](secret);
    const told = (answer) => ({ ...answer, claims: oauth.getValidatedIdTokenClaims(answer) });
    const checkSignature = (response) => oauth.validateApplicationLevelSignature(as, response, loopback);
    return {
      async begin(parameters) {
        const verifier = oauth.generateRandomCodeVerifier();
        const [state, nonce] = [oauth.generateRandomState(), oauth.generateRandomNonce()];
        const code_challenge = await oauth.calculatePKCECodeChallenge(verifier);
        const url = new URL(as.authorization_endpoint);
        const more = { response_type: 'code', client_id: id, code_challenge, code_challenge_method: 'S256', state, nonce };
        for (const [name, value] of Object.entries({ ...parameters, ...more })) url.searchParams.set(name, value);
        return { url, verifier, state, nonce, max_age: Number(parameters.max_age) };
      },
      async finish({ verifier, state, nonce, max_age }, back) {
        const parameters = oauth.validateAuthResponse(as, client, back, state);
        const to = `${back.origin}${back.pathname}`;
        const response = await oauth.authorizationCodeGrantRequest(as, client, auth, parameters, to, verifier, loopback);
        const checks = { expectedNonce: nonce, maxAge: max_age, requireIdToken: true };
        const tokens = await oauth.processAuthorizationCodeResponse(as, client, response, checks);
        await checkSignature(response);
        return told(tokens);
      },
      async refresh({ refresh_token }) {
        const response = await oauth.refreshTokenGrantRequest(as, client, auth, refresh_token, loopback);
        const tokens = await oauth.processRefreshTokenResponse(as, client, response);
        await checkSignature(response);
        return told(tokens);
      },
      async userinfo({ access_token, claims }) {
        const response = await oauth.userInfoRequest(as, client, access_token, loopback);
        return oauth.processUserInfoResponse(as, client, claims.sub, response);
      },
      async introspect(token) {
        const response = await oauth.introspectionRequest(as, client, auth, token, loopback);
        return oauth.processIntrospectionResponse(as, client, response);
      },
      async revoke(token) {
        await oauth.processRevocationResponse(await oauth.revocationRequest(as, client, auth, token, loopback));
      },
      endSession(parameters) {
        const url = new URL(as.end_session_endpoint);
        for (const [name, value] of Object.entries(parameters)) url.searchParams.set(name, value);
        return url;
      },
    };
  },
});
