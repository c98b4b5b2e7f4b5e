#!/usr/bin/env node
// A real authorization server for Keyferry's tests: npm `oidc-provider` behind a door that counts and breaks things, and
// a small API that only the provider's own tokens open.
//
//   node authorization-server.mjs '{"clients":[{"client_id":"k","client_secret":"s","redirect_uris":["http://127.0.0.1/integrations/acme/oauth2callback"]}]}'
//
// Settings: port, clients, pkce, rotate, scopes, access_token_ttl, refresh_token_ttl, token_delay_ms. Prints
// {"issuer": "http://127.0.0.1:PORT"}. Beside the provider's own endpoints:
//
//   GET  /api/me, ANY /api/echo…    the protected API
//   GET  /_counts, /_token_requests what has happened; never a secret
//   GET  /_live, /_secrets          how many tokens are alive; every code and token ever issued
//   POST /_fault                    see Door.order; DELETE takes all back
//   POST /_settings                 {"access_token_ttl": …, "refresh_token_ttl": …, "token_delay_ms": …,
//                                   "headers": {…}: put on each of the provider's answers}
//   POST /_forget                   {"kind": "AccessToken"}: as if the provider had revoked all of them

import http from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';

import { api } from './authorization-server/api.mjs';
import { Door } from './authorization-server/door.mjs';
import { provider as makeProvider } from './authorization-server/provider.mjs';
import { Storage } from './authorization-server/storage.mjs';
import { announce, json, listen, read, settings } from './peer.mjs';

// oidc-provider speaks of its development settings on standard output, which is ours for the one line.
console.info = console.error;

const given = await settings();
const storage = new Storage();
const lifetimes = { access_token: given.access_token_ttl ?? 3600, refresh_token: given.refresh_token_ttl ?? 14 * 24 * 3600 };
let tokenDelay = given.token_delay_ms ?? 0;

const outer = http.createServer({ keepAliveTimeout: 60_000, requestTimeout: 0 });
const issuer = `http://127.0.0.1:${await listen(outer, given.port)}`;
const provider = makeProvider(issuer, given, lifetimes, storage);
const inner = http.createServer(provider.callback());
const door = new Door(await listen(inner));
const protectedApi = api(provider, (status) => door.count('api', String(status)));

provider.on('grant.success', (ctx) => door.count('granted', ctx.oidc.params.grant_type));
provider.on('grant.error', (_ctx, error) => door.count('token_errors', error.error));
provider.on('grant.revoked', () => door.count('grants_revoked'));
provider.on('server_error', (_ctx, error) => console.error(error));

const ENDPOINTS = {
  '/auth': 'authorization',
  '/token': 'token',
  '/token/revocation': 'revocation',
  '/token/introspection': 'introspection',
  '/.well-known/openid-configuration': 'discovery',
  '/.well-known/oauth-authorization-server': 'discovery',
};

const CONTROLS = {
  'GET /_counts': () => door.counts,
  'GET /_token_requests': () => door.tokenRequests,
  'GET /_live': () => storage.live,
  'GET /_secrets': () => storage.secrets,
  'POST /_fault': (fault) => door.order(fault),
  'DELETE /_fault': () => door.clear(),
  'POST /_forget': ({ kind }) => ({ forgotten: storage.forget(kind) }),
  'POST /_settings': (change) => {
    lifetimes.access_token = change.access_token_ttl ?? lifetimes.access_token;
    lifetimes.refresh_token = change.refresh_token_ttl ?? lifetimes.refresh_token;
    tokenDelay = change.token_delay_ms ?? tokenDelay;
    door.headers = change.headers ?? door.headers;
  },
};

outer.on('request', async (request, response) => {
  try {
    const path = request.url.split('?', 1)[0];
    const control = CONTROLS[`${request.method} ${path}`];
    if (control) {
      const body = await read(request);
      return json(response, 200, control(body.length > 0 ? JSON.parse(body) : {}) ?? {});
    }
    if (path.startsWith('/api/')) return door.breaks(request, response) || (await protectedApi(request, response));
    const endpoint = ENDPOINTS[path];
    if (endpoint) door.count('arrived', endpoint);
    if (endpoint === 'token' && tokenDelay > 0) await sleep(tokenDelay);
    return await door.pass(endpoint, request, response);
  } catch (error) {
    console.error(error);
    if (!response.headersSent) json(response, 500, { error: 'peer_failed', error_description: String(error) });
    return undefined;
  }
});

announce({ issuer });
