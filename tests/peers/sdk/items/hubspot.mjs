#!/usr/bin/env node
// What people write instead: npm @hubspot/api-client, unmodified, and a loop that prints each contact as an item.
//
//   node sdk/items/hubspot.mjs BASE_URL TOKEN HUB_ID

import { Client } from '@hubspot/api-client';

const [basePath, accessToken, hub] = process.argv.slice(2);
const { basicApi } = new Client({ accessToken, basePath }).crm.contacts;

let after;
do {
  const page = await basicApi.getPage(100, after, ['firstname', 'lastname', 'email'], undefined, ['companies'], false);
  for (const { id, properties, createdAt, updatedAt, associations, url } of page.results) {
    const { firstname, lastname, email } = properties;
    const company = associations?.companies?.results[0]?.id;
    process.stdout.write(`${JSON.stringify({
      id: `${id}_Contact`,
      type: 'Contact',
      directory: false,
      parent_path_or_name: null,
      parent_id: company ? `${company}_Company` : null,
      name: `${firstname ?? ''} ${lastname ?? ''}`.trim() || email || `Contact ${id}`,
      creation_time: createdAt,
      last_modified_time: updatedAt,
      url: url ?? `https://app.hubspot.com/contacts/${hub}/record/0-1/${id}`,
      children: null,
      mime_type: null,
      delta: null,
      drive_id: null,
      visibility: true,
    })}\n`);
  }
  after = page.paging?.next?.after;
} while (after);
