#!/usr/bin/env node
// An issuer of logins' tokens: metadata, a key set, and tokens signed by `jose`, good ones and forged ones.
//
//   node issuer.mjs '{}'            prints {"url": "http://127.0.0.1:PORT"}
//
//   GET  /.well-known/openid-configuration, /keys
//   POST /_sign                     {alg, kid, header, claims, key}: a token; `key` is one of its own by default, "foreign"
//                                   (another key under the same id), "public" (HMAC with the public key's text) or "none"
//   POST /_rotate                   new keys under new ids
//   GET  /_counts                   how often the key set and the metadata were asked for

import http from 'node:http';

import { SignJWT, UnsecuredJWT, exportJWK, exportSPKI, generateKeyPair } from 'jose';

import { announce, json, listen, read, settings } from './peer.mjs';

const ALGORITHMS = ['RS256', 'PS256', 'ES256', 'ES384', 'EdDSA'];

await settings();
const counts = { keys: 0, metadata: 0 };
let generation = 0;
let keys = await generate();
const foreign = await generate();
let url;

async function generate() {
  generation += 1;
  const pairs = await Promise.all(ALGORITHMS.map((alg) => generateKeyPair(alg, { extractable: true })));
  return Object.fromEntries(ALGORITHMS.map((alg, index) => [alg, { kid: `${alg}-${generation}`, ...pairs[index] }]));
}

async function sign({ alg = 'RS256', header = {}, claims = {}, key = 'own' }) {
  const now = Math.floor(Date.now() / 1000);
  const payload = { iss: url, aud: 'crm', sub: 'ada', org_id: 'analytical', iat: now, exp: now + 300, ...claims };
  for (const [name, value] of Object.entries(payload)) if (value === null) delete payload[name];
  if (key === 'none') return new UnsecuredJWT(payload).encode();
  if (key === 'public') {
    const secret = new TextEncoder().encode(await exportSPKI(keys.RS256.publicKey));
    return new SignJWT(payload).setProtectedHeader({ alg: 'HS256', kid: keys.RS256.kid, ...header }).sign(secret);
  }
  const own = keys[alg];
  const signer = key === 'foreign' ? foreign[alg] : own;
  return new SignJWT(payload).setProtectedHeader({ alg, kid: own.kid, ...header }).sign(signer.privateKey);
}

const server = http.createServer(async (request, response) => {
  const body = await read(request);
  switch (`${request.method} ${request.url}`) {
    case 'GET /.well-known/openid-configuration':
      counts.metadata += 1;
      return json(response, 200, { issuer: url, jwks_uri: `${url}/keys` });
    case 'GET /keys': {
      counts.keys += 1;
      const set = await Promise.all(
        ALGORITHMS.map(async (alg) => ({ ...(await exportJWK(keys[alg].publicKey)), alg, use: 'sig', kid: keys[alg].kid })),
      );
      return json(response, 200, { keys: set });
    }
    case 'POST /_sign':
      return json(response, 200, { token: await sign(JSON.parse(body)) });
    case 'POST /_rotate':
      keys = await generate();
      return json(response, 200, {});
    case 'GET /_counts':
      return json(response, 200, counts);
    default:
      return json(response, 404, {});
  }
});

url = `http://127.0.0.1:${await listen(server)}`;
announce({ url });
