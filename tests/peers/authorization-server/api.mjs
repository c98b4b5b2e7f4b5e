// The API that the provider's tokens open. It asks the provider's own store about each bearer, so a token that expired,
// was revoked or was never issued is refused. It answers the SHA-256 of the token that came: a test can tell which token
// it was, and a token is never in an answer.

import { createHash } from 'node:crypto';

import { json, read } from '../peer.mjs';

/**
 * Answers `/api/me` (who the token speaks for) and `/api/echo…` (that, and what arrived). `count` is called with the
 * status.
 */
export function api(provider, count) {
  return async (request, response) => {
    const body = await read(request);
    const path = request.url.split('?', 1)[0];
    const answer = (status, value, headers) => {
      count(status);
      json(response, status, value, headers);
    };

    const bearer = /^Bearer ([^\s,]+)$/i.exec(request.headers.authorization ?? '')?.[1];
    const token = bearer && (await find(provider, bearer));
    if (!token) {
      const error = bearer ? 'invalid_token' : undefined;
      const challenge = error ? `Bearer realm="api", error="${error}"` : 'Bearer realm="api"';
      return answer(401, { error: error ?? 'no_token' }, { 'www-authenticate': challenge });
    }
    const who = {
      account: token.accountId ?? null,
      client_id: token.clientId,
      scope: token.scope ?? null,
      token_sha256: sha256(bearer),
    };
    if (path === '/api/me') return answer(200, who);
    if (path.startsWith('/api/echo')) {
      return answer(200, {
        ...who,
        method: request.method,
        target: request.url,
        headers: headerNames(request),
        body_bytes: body.length,
        body_sha256: sha256(body),
      });
    }
    return answer(404, { error: 'not_found' });
  };
}

// oidc-provider counts whole seconds, so a token of two seconds may be over after one. The storage counts milliseconds
// and forgets what has expired: asked alone, it gives a token the life that its answer promised.
async function find(provider, bearer) {
  const exactly = { ignoreExpiration: true };
  return (await provider.AccessToken.find(bearer, exactly)) ?? (await provider.ClientCredentials.find(bearer, exactly));
}

function headerNames(request) {
  return request.rawHeaders.filter((_, index) => index % 2 === 0).map((name) => name.toLowerCase());
}

function sha256(value) {
  return createHash('sha256').update(value).digest('hex');
}
