import { Client } from '@notionhq/client';

const notion = new Client({
  auth: process.env.KEYFERRY_TOKEN ?? 'nothing',
  baseUrl: `${process.env.KEYFERRY_URL ?? 'http://localhost:8080'}/proxy/notion`,
});

const { results } = await notion.search({ page_size: 10 });
for (const { object, id } of results) console.log(object, id);
