// Answers `GET /integrations/{i}/items` in place of a Keyferry whose provider has no `[items]`: the same lines, one item
// each and the end, a page at a time and not faster than asked. Nothing else of Keyferry is replaced.

import http from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';

import { listen } from '../peer.mjs';

const PEOPLE = ['Ada Lovelace', 'Charles Babbage', 'Mary Somerville', 'Augustus De Morgan', 'Michael Faraday', 'Grace Hopper', 'Annie Easley'];
const COMPANIES = ['Analytical Engines', 'Difference & Sons', 'Royal Institution', 'Punched Cards Ltd'];
const DEALS = ['Engine No. 2', 'Jacquard looms for the mill in Lyon', 'Tables of logarithms, 2nd edition'];
const OF_EACH = { Contact: PEOPLE, Company: COMPANIES, Deal: DEALS };

/** Every item, the same each time. */
export const ITEMS = Array.from({ length: 230 }, (_, index) => {
  const type = ['Contact', 'Contact', 'Company', 'Deal'][index % 4];
  const names = OF_EACH[type];
  const day = (offset) => new Date(Date.UTC(2026, 2, 1) + (index + offset) * 86_400_000).toISOString();
  return {
    id: `${1000 + index}`,
    type,
    directory: false,
    parent_path_or_name: type === 'Contact' ? COMPANIES[index % COMPANIES.length] : null,
    parent_id: null,
    name: names[index % names.length],
    creation_time: day(0),
    last_modified_time: index % 5 === 0 ? null : day(30),
    url: index % 7 === 3 ? null : `https://crm.example/${type.toLowerCase()}/${1000 + index}`,
    children: null,
    mime_type: null,
    delta: null,
    drive_id: null,
    visibility: true,
  };
});

/** Stands in on every page of `context`. `behaviour` may be changed while it runs: `items`, `problems`, `pause`, `fail`. */
export async function stubItems(context, keyferry) {
  const behaviour = { items: ITEMS, problems: [], pause: 0, fail: null, left: 0 };
  const server = http.createServer(async (request, response) => {
    response.on('close', () => {
      behaviour.left += Number(!response.writableFinished);
    });
    if (behaviour.fail) {
      response.writeHead(behaviour.fail.status, { 'content-type': 'application/problem+json' });
      response.end(JSON.stringify(behaviour.fail));
      return;
    }
    const query = new URL(request.url, keyferry).searchParams;
    const wanted = behaviour.items.filter(({ type }) => !query.get('type') || type === query.get('type'));
    const from = Number(query.get('cursor') ?? 0);
    const to = Math.min(wanted.length, from + Number(query.get('limit') ?? wanted.length));
    response.writeHead(200, { 'content-type': 'application/x-ndjson' });
    for (const item of wanted.slice(from, to)) {
      if (response.destroyed) return;
      response.write(`${JSON.stringify(item)}\n`);
      if (behaviour.pause) await sleep(behaviour.pause);
    }
    const next = to < wanted.length ? String(to) : null;
    response.end(`${JSON.stringify({ problems: behaviour.problems, next })}\n`);
  });
  const port = await listen(server);
  await context.route(`${keyferry}/integrations/*/items?**`, (route) =>
    route.continue({ url: route.request().url().replace(keyferry, `http://127.0.0.1:${port}`) }),
  );
  // So that the page offers it.
  await context.route(
    (url) => url.href.startsWith(`${keyferry}/integrations`) && /^\/integrations\/?$/.test(url.pathname),
    async (route) => {
      if (route.request().isNavigationRequest()) return route.fallback();
      const response = await route.fetch();
      if (!response.ok()) return route.fulfill({ response });
      const json = (await response.json()).map((entry) => ({ ...entry, items: true }));
      return route.fulfill({ response, json });
    },
  );
  context.on('close', () => server.close());
  return behaviour;
}
