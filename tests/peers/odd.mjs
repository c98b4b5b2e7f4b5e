#!/usr/bin/env node
// A server with an OAuth-like flow of its own making, as odd/API.md describes it, and strict about every line of that
// page. What it refuses, it says on standard error.
//
//   node odd.mjs '{"app_key": "the-id", "app_secret": "the-secret"}'     prints {"url": "http://127.0.0.1:PORT"}
//
// Settings: port, app_key, app_secret, valid_for_ms.
//
//   POST /_expire          every session's token is over from now on
//   GET  /_sessions        how many sessions are open, and how often one was renewed

import { randomBytes } from 'node:crypto';
import http from 'node:http';

import { announce, json, listen, read, settings } from './peer.mjs';

const { port, app_key, app_secret, valid_for_ms = 1_800_000 } = await settings();
const CELLS = [{ workspace: 'ws_7', cell: 'c9' }, { workspace: 'ws_42', cell: 'c3' }];
const codes = new Set();
let sessions = [];
let renewed = 0;

const routes = {
  'GET /portal/grant': grant,
  'POST /v2/session': open,
  'POST /v2/session/renew': renew,
  'DELETE /v2/session': close,
  'GET /v2/where': where,
  'GET /cells/c3/boards': boards,
  'POST /_expire': expire,
  'GET /_sessions': (request, response) => json(response, 200, { open: sessions.length, renewed }),
};

const server = http.createServer(async (request, response) => {
  const url = new URL(request.url, 'http://here');
  const route = routes[`${request.method} ${url.pathname}`];
  if (!route) return refuse(response, 404, `nothing at ${request.method} ${url.pathname}`);
  return route(request, response, url, await read(request));
});

announce({ url: `http://127.0.0.1:${await listen(server, port)}` });

function grant(request, response, { searchParams }) {
  const given = Object.fromEntries(searchParams);
  const wrong = fields(given, ['app_key', 'redirect', 'permissions', 'state']) ?? mismatch(given, { app_key });
  if (wrong) return refuse(response, 400, wrong);
  if (!/^boards:[a-z]+(,boards:[a-z]+)*$/.test(given.permissions)) return refuse(response, 400, 'permissions are separated by commas');
  const code = fresh();
  codes.add(code);
  const back = new URL(given.redirect);
  for (const [name, value] of [['grant_code', code], ['state', given.state], ['workspace', 'ws_42']]) back.searchParams.set(name, value);
  response.writeHead(303, { location: back.href }).end();
}

function open(request, response, url, body) {
  const given = object(request, body);
  const wrong = fields(given, ['kind', 'app_key', 'app_secret', 'grant_code']) ?? mismatch(given, { kind: 'grant', app_key, app_secret });
  if (wrong) return fail(response, 'bad_request', wrong);
  if (!codes.delete(given.grant_code)) return fail(response, 'grant_spent', 'the code is spent or unknown');
  return answer(response, begin());
}

function renew(request, response, url, body) {
  const given = object(request, body);
  const wrong = fields(given, ['app_key', 'app_secret', 'renewal']) ?? mismatch(given, { app_key, app_secret });
  if (wrong) return fail(response, 'bad_request', wrong);
  const old = sessions.find((session) => session.renewal === given.renewal);
  if (!old) return fail(response, 'renewal_dead', 'the renewal is dead or unknown');
  sessions = sessions.filter((session) => session !== old);
  renewed += 1;
  return answer(response, begin());
}

function close(request, response, url, body) {
  const given = object(request, body);
  const wrong = fields(given, ['token']);
  const basic = `Basic ${Buffer.from(`${app_key}:${app_secret}`).toString('base64')}`;
  if (wrong || request.headers.authorization !== basic) return fail(response, 'bad_request', wrong ?? 'key and secret are missing');
  sessions = sessions.filter((session) => session.token !== given.token);
  return json(response, 200, { status: 'ok' });
}

function where(request, response) {
  return authorized(request, response) && json(response, 200, { cells: CELLS });
}

function boards(request, response) {
  return authorized(request, response) && json(response, 200, { boards: [{ id: 'b_1', title: 'Larks' }] });
}

function expire(request, response) {
  for (const session of sessions) session.isOver = true;
  return json(response, 200, {});
}

function authorized(request, response) {
  const session = sessions.find(({ token }) => token === request.headers['x-larkspur-token']);
  if (!session || session.isOver) return refuse(response, 401, 'no such session');
  if (request.headers['x-larkspur-version'] !== '2026-05') return refuse(response, 400, 'X-Larkspur-Version is missing');
  if (request.headers.authorization) return refuse(response, 400, 'Authorization is not ours');
  return true;
}

function begin() {
  const session = { token: fresh(), renewal: fresh(), isOver: false };
  sessions.push(session);
  return session;
}

function answer(response, { token, renewal }) {
  return json(response, 200, { status: 'ok', session: { token, renewal, valid_for_ms }, member: { id: 'm_5', name: 'Ada' } });
}

function object(request, body) {
  if (request.headers['content-type'] !== 'application/json') return { 'a body that is not JSON': true };
  return JSON.parse(body.toString());
}

/** What is missing or unknown among the given fields; nothing when they are as the page says. */
function fields(given, wanted) {
  const missing = wanted.filter((name) => !given[name]);
  const unknown = Object.keys(given).filter((name) => !wanted.includes(name));
  if (missing.length + unknown.length === 0) return undefined;
  return `missing: ${missing.join(', ') || 'nothing'}; unknown: ${unknown.join(', ') || 'nothing'}`;
}

function mismatch(given, expected) {
  const wrong = Object.keys(expected).filter((name) => given[name] !== expected[name]);
  return wrong.length === 0 ? undefined : `wrong: ${wrong.join(', ')}`;
}

function fail(response, reason, why) {
  process.stderr.write(`${reason}: ${why}\n`);
  return json(response, 200, { status: 'error', reason });
}

function refuse(response, status, why) {
  process.stderr.write(`${status}: ${why}\n`);
  json(response, status, { why });
  return false;
}

function fresh() {
  return randomBytes(24).toString('base64url');
}
