// The authorization server itself: npm `oidc-provider`, configured, not changed. It holds the protocol's side of every
// test, so nothing here may make it more lenient than it is.

import { generateKeyPairSync, randomBytes } from 'node:crypto';

import Provider from 'oidc-provider';

/**
 * Makes the provider.
 *
 * - `clients`: RFC 7591 metadata, snake case. `http` redirect URIs need `application_type: "native"`, for which
 *   oidc-provider also lets the port of a loopback address vary (RFC 8252, section 7.3).
 * - `pkce`: whether a code challenge is required (S256 is the only method it knows).
 * - `rotate`: whether every refresh brings a new refresh token. Using an old one then ends the whole grant.
 * - `scopes`: beside `openid` and `offline_access`.
 * - `lifetimes`: an object of seconds, read at each issue, so that a test may change it while running.
 */
export function provider(issuer, { clients = [], pkce = true, rotate = true, scopes = [] }, lifetimes, storage) {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  return new Provider(issuer, {
    adapter: storage.adapter,
    clients: clients.map((client) => ({
      application_type: 'native',
      grant_types: ['authorization_code', 'refresh_token'],
      response_types: ['code'],
      ...client,
    })),
    clientAuthMethods: ['client_secret_basic', 'client_secret_post', 'none', 'private_key_jwt', 'client_secret_jwt'],
    cookies: { keys: [randomBytes(32).toString('hex')] },
    features: {
      clientCredentials: { enabled: true },
      devInteractions: { enabled: true },
      introspection: { enabled: true },
      revocation: { enabled: true },
    },
    findAccount: (_ctx, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
    jwks: { keys: [{ ...privateKey.export({ format: 'jwk' }), alg: 'RS256', use: 'sig', kid: 'signing' }] },
    pkce: { required: () => pkce },
    rotateRefreshToken: rotate,
    scopes: ['openid', 'offline_access', ...scopes],
    ttl: {
      AccessToken: () => lifetimes.access_token,
      AuthorizationCode: 60,
      ClientCredentials: () => lifetimes.access_token,
      Grant: 24 * 3600,
      IdToken: 3600,
      Interaction: 600,
      RefreshToken: () => lifetimes.refresh_token,
      Session: 24 * 3600,
    },
  });
}
