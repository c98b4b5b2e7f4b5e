#!/usr/bin/env node
// npm @notionhq/client, unmodified:  node sdk/notion.mjs BASE_URL TOKEN
// Prints what the SDK made of the answers, as JSON.

import { APIErrorCode, Client, collectPaginatedAPI, isNotionClientError } from '@notionhq/client';

const [baseUrl, auth] = process.argv.slice(2);
const notion = new Client({ auth, baseUrl });
const id = (number) => `00000000-0000-4000-8000-${String(number).padStart(12, '0')}`;

const me = await notion.users.me({});
const found = await collectPaginatedAPI(notion.search, { query: 'Übersicht "2026" / ☂', page_size: 1 });
const children = await collectPaginatedAPI(notion.blocks.children.list, { block_id: id(2), page_size: 2 });
const page = await notion.pages.retrieve({ page_id: id(2), filter_properties: ['title', '%5B%3Bx', 'a&b=c +d'] });
const created = await notion.pages.create({
  parent: { page_id: id(2) },
  properties: { title: { title: [{ text: { content: 'Grüße, 世界 \u2028 "quoted" \\ ' } }] } },
});
const updated = await notion.pages.update({ page_id: id(2), in_trash: false });
const missing = await notion.pages.retrieve({ page_id: id(404) }).then(
  () => 'found',
  (error) => (isNotionClientError(error) && error.code === APIErrorCode.ObjectNotFound ? 'object_not_found' : String(error)),
);

console.log(JSON.stringify({
  me: me.name,
  found: found.map((item) => item.id),
  children: children.map((block) => block.id),
  page: page.id,
  created: created.id,
  updated: updated.id,
  missing,
}));
