#!/usr/bin/env node
// npm @hubspot/api-client, unmodified:  node sdk/hubspot.mjs BASE_URL TOKEN
// Prints what the SDK made of the answers, as JSON.

import { Client } from '@hubspot/api-client';

const [basePath, accessToken] = process.argv.slice(2);
const hubspot = new Client({ accessToken, basePath });
const { basicApi, searchApi } = hubspot.crm.contacts;

const first = await basicApi.getPage(1, undefined, ['email', 'first name'], undefined, ['companies'], false);
const second = await basicApi.getPage(1, first.paging.next.after, ['email']);
const byEmail = await basicApi.getById('a+b/c%d@exämple.com', ['email'], undefined, undefined, false, 'email');
const search = await searchApi.doSearch({
  filterGroups: [{ filters: [{ propertyName: 'email', operator: 'CONTAINS_TOKEN', value: '*@example.com' }] }],
  sorts: ['-createdate'],
  properties: ['email'],
  limit: 1,
});
const created = await basicApi.create({ properties: { email: 'neu@example.com', firstname: 'Jürgen "J" O\'Neil' }, associations: [] });
const updated = await basicApi.update('101', { properties: { email: '101@example.com' } });
const raw = await hubspot.apiRequest({ method: 'GET', path: '/crm/v3/objects/contacts', qs: { limit: 1, after: 'x y&z' } });

console.log(JSON.stringify({
  first: first.results.map((contact) => contact.id),
  second: second.results.map((contact) => contact.id),
  byEmail: byEmail.id,
  search: search.total,
  created: created.properties.firstname,
  updated: updated.id,
  raw: raw.status,
}));
