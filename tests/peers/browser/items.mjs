// The items of a connection on the connect page: they come, are filtered, go on, are stopped and cleared.

import assert from 'node:assert/strict';

import { Person, assertAccessible, card, run } from './scenario.mjs';
import { ITEMS, stubItems } from './items-stub.mjs';

const address = ({ keyferry }) => `${keyferry}/integrations?org_id=analytical&user_id=ada`;
const hubspot = (page) => card(page, 'HubSpot');
const button = (page, name) => hubspot(page).getByRole('button', { name });
const rows = (page) => hubspot(page).locator('tbody tr');
const count = (page, words) => hubspot(page).locator('.count').filter({ hasText: words }).waitFor();

async function visit(settings, browser, expect = []) {
  const person = await Person.at(browser, { watch: [settings.keyferry], expect });
  const stub = await stubItems(person.context, settings.keyferry);
  const page = await person.open(address(settings));
  await button(page, /^Load items/).waitFor();
  return { person, page, stub };
}

await run({
  async 'loads, goes on, filters and clears'(settings, browser) {
    const { person, page } = await visit(settings, browser);
    await button(page, /^Load items/).click();
    await count(page, /^100 items, and there are more$/);
    assert.equal(await rows(page).count(), 100);
    const first = rows(page).first();
    assert.deepEqual(
      await first.getByRole('cell').allInnerTexts(),
      [ITEMS[0].name, 'Contact', ITEMS[0].parent_path_or_name, '1 Mar 2026', ''],
    );
    const link = first.getByRole('link');
    assert.equal(await link.getAttribute('href'), ITEMS[0].url);
    assert.match(await link.getAttribute('rel'), /noopener/);
    assert.equal(await rows(page).nth(3).getByRole('link').count(), 0, 'no address, no link');

    await button(page, 'Load more').click();
    await count(page, /^200 items, and there are more$/);
    assert.equal(await rows(page).nth(100).getByRole('link').evaluate((link) => link === document.activeElement), true);
    await button(page, 'Load more').click();
    await count(page, /^230 items$/);
    assert.equal(await button(page, 'Load more').isVisible(), false);

    await hubspot(page).getByLabel('Type').selectOption('Company');
    const companies = ITEMS.filter(({ type }) => type === 'Company').length;
    await count(page, new RegExp(`^${companies} items$`));
    assert.deepEqual(new Set(await rows(page).locator('.tag').allInnerTexts()), new Set(['Company']));
    assert.deepEqual(await hubspot(page).getByLabel('Type').locator('option').allInnerTexts(), ['All types', 'Company', 'Contact', 'Deal']);

    await button(page, 'Clear').click();
    assert.equal(await rows(page).count(), 0);
    assert.equal(await button(page, /^Load items/).evaluate((button) => button === document.activeElement), true);
    await person.leave();
  },

  async 'shows rows as they come, and stops when asked'(settings, browser) {
    const { person, page, stub } = await visit(settings, browser);
    stub.pause = 50;
    await button(page, /^Load items/).click();
    await rows(page).nth(2).waitFor();
    assert.ok((await rows(page).count()) < 100, 'they come one by one');
    await button(page, 'Cancel').click();
    await button(page, 'Cancel').waitFor({ state: 'hidden' });
    const kept = await rows(page).count();
    assert.ok(kept >= 3 && kept < 100, `${kept} are kept`);
    await count(page, new RegExp(`^${kept} items$`));
    // Whoever has left is not loaded for.
    while (stub.left === 0) await page.waitForTimeout(20);

    // Another filter takes over from a load under way.
    await button(page, 'Clear').click();
    await button(page, /^Load items/).click();
    await rows(page).nth(2).waitFor();
    stub.pause = 0;
    await hubspot(page).getByLabel('Type').selectOption('Contact');
    await count(page, /^100 items, and there are more$/);
    assert.deepEqual(new Set(await rows(page).locator('.tag').allInnerTexts()), new Set(['Contact']));
    await person.leave();
  },

  async 'says what is missing, what is wrong and what is not there'(settings, browser) {
    const { person, page, stub } = await visit(settings, browser, [/502/]);
    stub.problems = [{ stream: 'deals', code: 'upstream_timeout', detail: 'The page of deals did not come in time.' }];
    stub.items = ITEMS.slice(0, 3);
    await button(page, /^Load items/).click();
    await hubspot(page).getByText('The page of deals did not come in time.').waitFor();
    assert.equal(await rows(page).count(), 3);
    await assertAccessible(page, 'problems');

    stub.fail = { status: 502, code: 'upstream_unreachable', detail: 'The provider could not be reached.' };
    await button(page, 'Clear').click();
    await button(page, /^Load items/).click();
    await hubspot(page).getByText('The provider could not be reached.').waitFor();
    await assertAccessible(page, 'failure');
    Object.assign(stub, { fail: null, problems: [], items: [] });
    await button(page, 'Try again').click();
    await hubspot(page).getByText('shows this connection nothing yet').waitFor();
    await assertAccessible(page, 'empty');
    await person.leave();
  },

  async 'never makes a page of what a provider says'(settings, browser) {
    const { person, page, stub } = await visit(settings, browser);
    const evil = '<img src=x onerror="document.title=1">';
    stub.items = ['javascript:document.title=1', 'data:text/html,x', '//evil.example', 'https://ok.example/'].map((url, index) => ({
      ...ITEMS[0], id: String(index), type: evil, name: evil, parent_path_or_name: evil, url, creation_time: evil,
    }));
    await button(page, /^Load items/).click();
    await count(page, /^4 items$/);
    assert.equal(await rows(page).getByRole('link').count(), 1);
    assert.equal(await rows(page).first().getByRole('cell').first().innerText(), evil);
    assert.equal(await hubspot(page).locator('img').count(), 0);
    assert.equal(await page.title(), 'Connections');
    await person.leave();
  },
});
