#!/usr/bin/env node
// A recording upstream for Keyferry's tests: answers as Notion, HubSpot, Airtable and GitHub do, as far as their SDKs
// look, and keeps each request as it came: method, raw target, raw headers, body bytes.
//
//   node recorder.mjs '{}'          prints {"url": "http://127.0.0.1:PORT"}
//
//   GET    /_requests               [{method, target, version, headers: [[name, value], …], body_base64}, …]
//   DELETE /_requests               forgets them

import http from 'node:http';

import { announce, json, listen, read, settings } from './peer.mjs';
import { answer } from './recorder/answers.mjs';

const { port } = await settings();
let requests = [];

const server = http.createServer({ keepAliveTimeout: 60_000, maxHeaderSize: 256 * 1024 }, async (request, response) => {
  const body = await read(request);
  if (request.url === '/_requests') {
    if (request.method === 'DELETE') requests = [];
    return json(response, 200, requests);
  }
  requests.push({
    method: request.method,
    target: request.url,
    version: request.httpVersion,
    headers: pairs(request.rawHeaders),
    body_base64: body.toString('base64'),
  });
  const { status, value, headers } = answer(request.method, request.url, body);
  return json(response, status, value, headers);
});

announce({ url: `http://127.0.0.1:${await listen(server, port)}` });

function pairs(raw) {
  return Array.from({ length: raw.length / 2 }, (_, index) => [raw[2 * index], raw[2 * index + 1]]);
}
