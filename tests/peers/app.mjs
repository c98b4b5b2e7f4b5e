#!/usr/bin/env node
// An application as anybody has one: express, express-session, ws. It knows nothing of Keyferry, and is started behind it
// unchanged.
//
//   node app.mjs '{}'               prints {"url": "http://127.0.0.1:PORT"}
//
// Settings: port, cookie (options of the session's cookie, such as {"sameSite": "strict"}), renew (the cookie is set
// anew on every answer), proxied (a proxy in front says who and at which host, in X-Forwarded-User and -Host). Beside
// its own pages:
//
//   POST /login, /logout            the form's `user` is logged in, with any password
//   GET  /api/me                    {"id", "org": {"id"}} of whoever is logged in, 401 for nobody
//   ANY  /echo…                     what arrived: method, url, raw headers
//   GET  /events                    an event every 50 ms, until the browser goes
//   GET  /big/:bytes, POST /size    a body made as it is read, and the size of one that is taken as it comes
//   WS   /socket                    says every message back
//
//   GET  /_seen                     every request since the last look, but for those of tests; never behind Keyferry
//   POST /_trouble                  {"status": 500}: how /api/me answers from now on; an object is its whole answer, and
//                                   null is for as it should

import http from 'node:http';
import { Readable } from 'node:stream';

import express from 'express';
import session from 'express-session';
import { WebSocketServer } from 'ws';

import { announce, listen, settings } from './peer.mjs';

const given = await settings();
const app = express();
const server = http.createServer({ keepAliveTimeout: 60_000, requestTimeout: 0 }, app);
let seen = [];
let trouble = null;

const pairs = (raw) => Array.from({ length: raw.length / 2 }, (_, index) => [raw[2 * index], raw[2 * index + 1]]);
const record = (request) => seen.push({ method: request.method, target: request.url, headers: pairs(request.rawHeaders) });

app.disable('x-powered-by');
app.get('/_seen', (_request, response) => {
  response.json(seen);
  seen = [];
});
app.post('/_trouble', express.json(), (request, response) => {
  trouble = request.body.status;
  response.json({});
});
app.use((request, _response, next) => {
  record(request);
  next();
});
app.use(
  session({
    name: 'sid',
    secret: 'a secret of the application',
    resave: false,
    rolling: given.renew ?? false,
    saveUninitialized: false,
    cookie: given.cookie ?? { sameSite: 'lax' },
  }),
);

app.get('/', (request, response) => {
  const user = request.session.user;
  response.type('html').send(
    user
      ? `<h1>Hello ${user}</h1><form method="post" action="/logout"><button>Log out</button></form>`
      : '<h1>Log in</h1><form method="post" action="/login"><input name="user"><input name="password" type="password"><button>Log in</button></form>',
  );
});
app.post('/login', express.urlencoded({ extended: false }), (request, response, next) => {
  request.session.regenerate((error) => {
    if (error) return next(error);
    request.session.user = request.body.user;
    response.redirect(303, '/');
  });
});
app.post('/logout', (request, response, next) => {
  request.session.destroy((error) => (error ? next(error) : response.redirect(303, '/')));
});
app.get('/api/me', (request, response) => {
  if (trouble === 'hang') return undefined;
  if (trouble === 'html') return response.type('html').send('<h1>Log in</h1>');
  if (trouble && typeof trouble === 'object') return response.json(trouble);
  if (trouble) return response.status(trouble).json({ error: 'trouble' });
  const user = request.session.user;
  if (!user) return response.status(401).json({ error: 'nobody is logged in' });
  if (given.proxied) {
    return response.json({ id: request.get('x-forwarded-user'), org: { id: request.get('x-forwarded-host') } });
  }
  return response.json({ id: user, org: { id: 'analytical' } });
});

app.get('/favicon.ico', (_request, response) => response.status(204).end());
app.get('/events', (request, response) => {
  response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' });
  let count = 0;
  const timer = setInterval(() => response.write(`data: ${(count += 1)}\n\n`), 50);
  response.on('close', () => {
    clearInterval(timer);
    seen.push({ method: 'CLOSED', target: request.url, headers: [] });
  });
});
app.get('/big/:bytes', (request, response) => {
  const chunk = Buffer.alloc(64 * 1024, 'x');
  let left = Number(request.params.bytes);
  response.setHeader('content-length', left);
  const body = new Readable({
    read() {
      const piece = chunk.subarray(0, Math.min(left, chunk.length));
      left -= piece.length;
      this.push(piece.length > 0 ? piece : null);
    },
  });
  body.pipe(response);
});
app.post('/size', (request, response) => {
  let size = 0;
  request.on('data', (chunk) => (size += chunk.length));
  request.on('end', () => response.json({ size }));
});
app.all(/^\/echo/, (request, response) => {
  response.set('strict-transport-security', 'max-age=1').set('keyferry-error', 'forged').cookie('theirs', 'a');
  response.json({ method: request.method, url: request.url, headers: pairs(request.rawHeaders) });
});
app.use((request, response) => response.status(404).json({ error: 'the application has no such page', url: request.url }));

const sockets = new WebSocketServer({ noServer: true });
server.on('upgrade', (request, socket, head) => {
  record(request);
  if (request.url !== '/socket') return socket.destroy();
  return sockets.handleUpgrade(request, socket, head, (connection) => {
    connection.on('message', (data, isBinary) => connection.send(data, { binary: isBinary }));
  });
});

announce({ url: `http://127.0.0.1:${await listen(server, given.port)}` });
