// The items of a connection on the connect page, from vendors that page, stall and break: they come, are filtered, go on,
// are stopped and cleared.

import assert from 'node:assert/strict';

import { Person, assertAccessible, card, change, get, order, relent, run, until } from './scenario.mjs';

const address = ({ keyferry }, integration) => `${keyferry}/integrations?org_id=analytical&user_id=ada#${integration}`;
const items = (page, name) => {
  const own = card(page, name);
  return {
    own,
    button: (words) => own.getByRole('button', { name: words }),
    rows: own.locator('tbody tr'),
    type: own.getByLabel('Type'),
    load: () => own.getByRole('button', { name: /^Load items/ }).click(),
    count: (words) => own.locator('.count').filter({ hasText: words }).waitFor(),
  };
};

async function visit(settings, browser, name, expect = []) {
  const person = await Person.at(browser, { watch: [settings.keyferry], expect });
  const page = await person.open(address(settings, name.toLowerCase()));
  return { person, page, ...items(page, name) };
}

const texts = (rows) => rows.evaluateAll((all) => all.map((row) => [...row.cells].map((cell) => cell.innerText)));
const DEALS = '/crm/v3/objects/deals';

await run({
  async 'loads, filters and clears'(settings, browser) {
    const { person, page, rows, load, count, type, button } = await visit(settings, browser, 'HubSpot');
    await load();
    await count(/^7 items$/);
    assert.deepEqual(await texts(rows), [
      // The company comes behind its people, and stands beside them all the same.
      ['Mira Okafor', 'Contact', 'Brightfield Ltd', '4 Mar 2025', '30 Oct 2026'],
      ['ops@northquay.test', 'Contact', '', '18 Jun 2025', '1 Feb 2026'],
      ['Jun', 'Contact', '', '9 Jan 2026', '14 Sept 2026'],
      ['Brightfield Ltd', 'Company', '', '20 Nov 2024', '2 Oct 2026'],
      ['northquay.test', 'Company', '', '18 Jun 2025', '18 Jun 2025'],
      ['Brightfield renewal', 'Deal', 'Brightfield Ltd', '2 Apr 2026', '1 Nov 2026'],
      ['Pilot', 'Deal', '', '15 Aug 2026', '15 Aug 2026'],
    ]);
    const link = rows.first().getByRole('link');
    assert.equal(await link.getAttribute('href'), 'https://app.hubspot.com/contacts/48213377/record/0-1/151');
    assert.match(await link.getAttribute('rel'), /noopener/);
    await assertAccessible(page, 'items');

    await type.selectOption('Company');
    await count(/^2 items$/);
    assert.deepEqual((await texts(rows)).map(([name]) => name), ['Brightfield Ltd', 'northquay.test']);
    assert.deepEqual(await type.locator('option').allInnerTexts(), ['All types', 'Company', 'Contact', 'Deal']);

    await button('Clear').click();
    assert.equal(await rows.count(), 0);
    assert.equal(await button(/^Load items/).evaluate((button) => button === document.activeElement), true);
    await person.leave();
  },

  async 'shows of every provider what it has'(settings, browser) {
    const airtable = await visit(settings, browser, 'Airtable');
    await airtable.load();
    await airtable.count(/^6 items$/);
    // Airtable says no times: there are no columns for them.
    assert.deepEqual(await airtable.own.getByRole('columnheader').allInnerTexts(), ['Name', 'Type', 'In']);
    assert.deepEqual((await texts(airtable.rows)).map((cells) => cells.slice(0, 3))[1], ['Milestones', 'Table', 'Launch planning']);

    const notion = items(airtable.page, 'Notion');
    await notion.load();
    await notion.count(/^6 items$/);
    assert.deepEqual((await texts(notion.rows)).map(([name, type, parent]) => [name, type, parent]), [
      ['Team handbook', 'page', ''],
      ['Sign lease', 'page', 'Tasks'],
      ['Tasks', 'data_source', ''],
      ['@Ana Voss', 'page', ''],
      ['Untitled', 'page', 'Team handbook'],
      ['Untitled', 'page', ''],
    ]);
    assert.equal(await notion.rows.last().getByRole('link').count(), 0, 'no address, no link');
    await airtable.person.leave();
  },

  async 'goes on where it stopped'(settings, browser) {
    await change(settings.vendors, { synthetic: { records: 230 } });
    const { person, rows, load, count, button } = await visit(settings, browser, 'HubSpot');
    await load();
    await count(/^100 items, and there are more$/);
    assert.equal(await rows.count(), 100);
    await button('Load more').click();
    await count(/^200 items, and there are more$/);
    assert.equal(await rows.nth(100).getByRole('link').evaluate((link) => link === document.activeElement), true);
    await button('Load more').click();
    await count(/^230 items$/);
    assert.equal(await button('Load more').isVisible(), false);
    const names = (await texts(rows)).map(([name]) => name);
    assert.equal(new Set(names).size, 230);
    assert.deepEqual([names[0], names[229]], ['Mira Okafor 100000000000', 'Mira Okafor 100000000229']);
    await change(settings.vendors, { synthetic: { records: 0 } });
    await person.leave();
  },

  async 'shows rows as they come, and stops when asked'(settings, browser) {
    const { person, rows, load, count, type, button } = await visit(settings, browser, 'HubSpot');
    const stall = () => order(settings.vendors, { match: DEALS, mode: 'hang' });
    const last = async () => (await get(`${settings.vendors}/_requests`)).at(-1);
    const isLeft = () => until('the vendor is left', async () => (await last()).left);
    await stall();
    await load();
    // Five are there, and the sixth does not come.
    await rows.nth(4).waitFor();
    await until('the deals are asked for', async () => (await last()).target.startsWith(DEALS));
    assert.equal(await button('Cancel').isVisible(), true);
    await button('Cancel').click();
    await button('Cancel').waitFor({ state: 'hidden' });
    await count(/^5 items$/);
    assert.equal(await rows.count(), 5);
    await isLeft();
    const { requests } = await get(`${settings.vendors}/_count`);

    // Another filter takes over from a load under way.
    await button('Clear').click();
    await stall();
    await load();
    await rows.nth(4).waitFor();
    await until('the deals are asked for', async () => (await last()).target.startsWith(DEALS));
    await type.selectOption('Company');
    await count(/^2 items$/);
    assert.deepEqual((await texts(rows)).map(([, kind]) => kind), ['Company', 'Company']);
    // Two pages of contacts and of companies and the deals that never came; after Cancel nothing was asked for.
    const all = await get(`${settings.vendors}/_requests`);
    const again = all.slice(all.length - ((await get(`${settings.vendors}/_count`)).requests - requests));
    assert.deepEqual(again.slice(0, 5).map(({ target }) => /objects\/(\w+)/.exec(target)[1]), ['contacts', 'contacts', 'companies', 'companies', 'deals']);
    await until('the vendor is left', async () => (await get(`${settings.vendors}/_requests`)).filter(({ left }) => left).length === 2);
    await relent(settings.vendors);
    await person.leave();
  },

  async 'says what is missing, what is wrong and what is not there'(settings, browser) {
    const { person, page, own, rows, load, button } = await visit(settings, browser, 'HubSpot', [/50[234]/]);
    const { vendors } = settings;
    await order(vendors, { match: DEALS, times: null, mode: 'answer', status: 503 });
    await load();
    const partly = own.getByRole('alert').filter({ hasText: 'Not everything could be read.' });
    await partly.waitFor();
    assert.equal(await rows.count(), 5);
    assert.deepEqual(await partly.getByRole('listitem').allInnerTexts(), ['deals: The provider has trouble of its own.']);
    await assertAccessible(page, 'problems');

    await relent(vendors);
    await order(vendors, { match: '/crm/', times: null, mode: 'cut' });
    await button('Clear').click();
    await load();
    const failure = own.getByRole('alert').filter({ has: page.getByRole('button', { name: 'Try again' }) });
    await failure.waitFor();
    assert.equal(await failure.locator('p').innerText(), 'The provider could not be reached (stream `contacts`).');
    await assertAccessible(page, 'failure');

    await relent(vendors);
    await order(vendors, { match: '/crm/', times: null, mode: 'answer', status: 200, body: { results: [] } });
    await button('Try again').click();
    await own.getByText('shows this connection nothing yet').waitFor();
    await assertAccessible(page, 'empty');
    await relent(vendors);
    await button('Clear').click();
    await load();
    await own.locator('.count').filter({ hasText: /^7 items$/ }).waitFor();
    await person.leave();
  },

  async 'never makes a page of what a provider says'(settings, browser) {
    const { person, page, own, rows, load, count } = await visit(settings, browser, 'HubSpot');
    const evil = '<img src=x onerror="document.title=1"><script>document.title=1</script>';
    const urls = ['javascript:document.title=1', 'data:text/html,x', '//evil.example', 'https://ok.example/'];
    const record = (id, name, url) => ({ id, url, properties: { firstname: name, lastname: '' }, createdAt: evil, updatedAt: evil });
    const results = [...urls.map((url, index) => record(String(index), evil, url)), record('9', '\u202Egpj.txt', null), record('10', 'אבג', null)];
    await order(settings.vendors, { match: '/objects/contacts', mode: 'answer', status: 200, body: { results } });
    await load();
    await count(/^10 items$/);
    const names = rows.locator('bdi.name');
    assert.deepEqual(await rows.locator('a').evaluateAll((links) => links.map(({ protocol }) => protocol)).then((all) => [...new Set(all)]), ['https:']);
    assert.equal((await names.first().innerText()).trim(), evil);
    assert.equal(await own.locator('img, script').count(), 0);
    assert.equal(await page.title(), 'Connections');
    // Writing that runs the other way stays in its own cell.
    assert.equal(await names.nth(4).evaluate((name) => getComputedStyle(name).unicodeBidi), 'isolate');
    assert.deepEqual((await texts(rows))[4].slice(1, 2), ['Contact']);
    await person.leave();
  },
});
