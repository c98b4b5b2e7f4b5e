#!/usr/bin/env node
// The data APIs of the vendors whose items Keyferry loads, for its tests: they page, insist on what the vendors insist
// on, and break on order.
//
//   node vendors.mjs '{"tokens":["a-token"]}'          prints {"url": "http://127.0.0.1:PORT"}
//
// Settings: port; whose tokens are taken, see vendors/tokens.mjs; `synthetic`, see vendors/synthetic.mjs; `record: false`
// only counts requests. Beside the vendors' own paths:
//
//   GET    /_requests               [{method, target, version, headers: [[name, value], …], body_base64, status, left}, …];
//                                   `status` is null as long as there is no answer, `left` says that whoever asked
//                                   went before its end
//   DELETE /_requests               forgets them
//   GET    /_count                  {"requests": …} since the beginning, never forgotten
//   POST   /_fault                  see vendors/faults.mjs; DELETE takes all back
//   POST   /_settings               {"tokens": …} or {"introspection": …} or {"synthetic": …} instead of what was given

import http from 'node:http';

import { announce, json, listen, read, settings } from './peer.mjs';
import { airtable } from './vendors/airtable.mjs';
import { dropbox, jira, linear, stripe } from './vendors/business.mjs';
import { Faults, send } from './vendors/faults.mjs';
import { drive, github, onedrive, slack } from './vendors/files.mjs';
import { hubspot } from './vendors/hubspot.mjs';
import { notion } from './vendors/notion.mjs';
import { Synthetic } from './vendors/synthetic.mjs';
import { Tokens } from './vendors/tokens.mjs';

const VENDORS = [hubspot, notion, airtable, drive, github, onedrive, slack, jira, dropbox, linear, stripe];

const given = await settings();
const faults = new Faults();
let tokens = new Tokens(given);
let synthetic = new Synthetic(given.synthetic);
let requests = [];
let count = 0;

const CONTROLS = {
  'GET /_requests': () => requests,
  'DELETE /_requests': () => void (requests = []),
  'GET /_count': () => ({ requests: count }),
  'POST /_fault': (fault) => faults.order(fault),
  'DELETE /_fault': () => faults.clear(),
  'POST /_settings': (change) => {
    if (change.tokens || change.introspection) tokens = new Tokens(change);
    if (change.synthetic) synthetic = new Synthetic(change.synthetic);
  },
};

const server = http.createServer({ keepAliveTimeout: 60_000 }, async (request, response) => {
  try {
    const body = await read(request);
    const control = CONTROLS[`${request.method} ${request.url}`];
    if (control) return json(response, 200, control(body.length > 0 ? JSON.parse(body) : {}) ?? {});

    const fault = faults.take(request.method, request.url);
    const record = keep(request, body);
    response.once('close', () => (record.left = !response.writableFinished));
    const answer = fault?.replaces ? undefined : await answered(request, body);
    return await send(response, answer, fault, (status) => void (record.status = status));
  } catch (error) {
    console.error(error);
    if (!response.headersSent) json(response, 500, { message: `the peer failed: ${error}` });
    return undefined;
  }
});

const url = `http://127.0.0.1:${await listen(server, given.port)}`;
announce({ url });

/** What the vendor answers whose path it is. */
async function answered(request, body) {
  const asked = new URL(request.url, url);
  const vendor = VENDORS.find(({ owns }) => owns.test(asked.pathname));
  if (!vendor) return { status: 404, value: { message: `no vendor has ${request.method} ${asked.pathname}` } };

  const bearer = vendor.bearer.exec(request.headers.authorization ?? '')?.[1];
  if (!bearer) return vendor.unauthorized('absent');
  if (!(await tokens.alive(bearer))) return vendor.unauthorized('dead');

  const call = { method: request.method, url: asked, headers: request.headers, body };
  return synthetic.answer(call) ?? vendor.answer(call);
}

function keep(request, body) {
  count += 1;
  const record = {
    method: request.method,
    target: request.url,
    version: request.httpVersion,
    headers: pairs(request.rawHeaders),
    body_base64: body.toString('base64'),
    status: null,
    left: false,
  };
  if (given.record !== false) requests.push(record);
  return record;
}

function pairs(raw) {
  return Array.from({ length: raw.length / 2 }, (_, index) => [raw[2 * index], raw[2 * index + 1]]);
}
