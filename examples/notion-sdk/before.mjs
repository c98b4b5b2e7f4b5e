import { Client } from '@notionhq/client';

const notion = new Client({
  auth: process.env.NOTION_TOKEN,
});

const { results } = await notion.search({ page_size: 10 });
for (const { object, id } of results) console.log(object, id);
