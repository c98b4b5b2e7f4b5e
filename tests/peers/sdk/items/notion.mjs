#!/usr/bin/env node
// What people write instead: npm @notionhq/client, unmodified, and a loop that prints each record as an item.
//
//   node sdk/items/notion.mjs BASE_URL TOKEN

import { Client, iteratePaginatedAPI } from '@notionhq/client';

const [baseUrl, auth] = process.argv.slice(2);
const notion = new Client({ auth, baseUrl, notionVersion: '2026-03-11' });
const sort = { timestamp: 'last_edited_time', direction: 'ascending' };

for await (const record of iteratePaginatedAPI(notion.search, { sort, page_size: 100 })) {
  if (record.in_trash) continue;
  const property = Object.values(record.properties ?? {}).find(({ type }) => type === 'title');
  const runs = record.title ?? property?.title ?? [];
  const title = runs.map(({ plain_text }) => plain_text).join('');
  const parent = record.parent ?? {};
  process.stdout.write(`${JSON.stringify({
    id: record.id,
    type: record.object,
    directory: record.object === 'data_source' || record.object === 'database',
    parent_path_or_name: null,
    parent_id: parent.data_source_id ?? parent.database_id ?? parent.page_id ?? parent.block_id ?? parent.agent_id ?? null,
    name: title || 'Untitled',
    creation_time: record.created_time ?? null,
    last_modified_time: record.last_edited_time ?? null,
    url: record.url ?? null,
    children: null,
    mime_type: null,
    delta: null,
    drive_id: null,
    visibility: true,
  })}\n`);
}
