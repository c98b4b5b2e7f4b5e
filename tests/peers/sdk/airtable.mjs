#!/usr/bin/env node
// npm airtable, unmodified:  node sdk/airtable.mjs BASE_URL TOKEN
// Prints what the SDK made of the answers, as JSON.

import Airtable from 'airtable';

const [endpointUrl, apiKey] = process.argv.slice(2);
const base = new Airtable({ apiKey, endpointUrl }).base('app1');

// A table may be addressed by its name, and a name may hold anything: the SDK sends this slash as %2F.
const table = base('Täble / A&B?');

const all = await table.select({ filterByFormula: `AND({Name} != '', {N} > 1)`, fields: ['Name', 'Ünit'], pageSize: 2, sort: [{ field: 'Name', direction: 'desc' }] }).all();
const one = await table.find('rec1');
const created = await table.create([{ fields: { Name: 'Grüße, 世界' } }, { fields: { Name: 'b' } }]);
const updated = await table.update('rec1', { Name: 'c' });
const destroyed = await table.destroy(['rec1', 'rec2']);
// A query that makes the URL longer than 16,000 characters goes as a POST to listRecords.
const long = await table.select({ filterByFormula: `{Name} = '${'x'.repeat(17_000)}'` }).firstPage();

console.log(JSON.stringify({
  all: all.map((record) => record.id),
  one: one.id,
  created: created.map((record) => record.get('Name')),
  updated: updated.id,
  destroyed: destroyed.map((record) => record.id),
  long: long.length,
}));
