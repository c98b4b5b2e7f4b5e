// How the connect page looks and is used: every state, light and dark, held to axe-core; by keyboard alone; in a window of
// 320 px. KEYFERRY_SCREENSHOTS names a folder in which each state is kept as a picture.

import assert from 'node:assert/strict';

import { Person, assertAccessible, assertFits, camera, card, order, relent, run, signIn, status } from './scenario.mjs';

const address = ({ keyferry }, user) => `${keyferry}/integrations?org_id=analytical&user_id=${user}`;
const hubspot = (page) => card(page, 'HubSpot');

async function everyState(settings, browser, colorScheme) {
  const picture = camera(colorScheme);
  const person = await Person.at(browser, { watch: [settings.keyferry], expect: [/502|503/], colorScheme, viewport: { width: 1024, height: 720 } });
  const page = await person.open(address(settings, 'ada'));
  await status(page, 'HubSpot', /^Connected$/);
  const hold = async (name) => {
    await assertAccessible(page, `${name}, ${colorScheme}`);
    await assertFits(page, `${name}, ${colorScheme}`);
  };
  const look = async (name) => {
    await hold(name);
    await picture(page, name);
  };
  await status(page, 'GitHub', 'Has to be connected again');
  await look('list');

  await card(page, 'Acme Desk').getByRole('button', { name: /^Connect/ }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Continue' }).click();
  await look('variables');
  await page.keyboard.press('Escape');
  await hubspot(page).getByRole('button', { name: /^Disconnect/ }).click();
  await look('disconnect');
  await page.keyboard.press('Escape');

  const notion = card(page, 'Notion');
  const popup = await person.popup(page, () => notion.getByRole('button', { name: /^Connect/ }).click());
  await popup.locator('input[name=login]').waitFor();
  await look('waiting');
  await notion.getByRole('button', { name: 'Cancel' }).click();
  await notion.getByRole('button', { name: /^Connect/ }).waitFor();

  const loaded = async () => {
    await hubspot(page).getByRole('button', { name: /^Load items/ }).click();
    await hubspot(page).locator('.count').filter({ hasText: /^7 items$/ }).waitFor();
    await page.evaluate(() => document.querySelector('#hubspot').scrollIntoView({ block: 'start' }));
  };
  await loaded();
  await look('items');
  const breaks = (stream) => order(settings.vendors, { match: `/objects/${stream}`, times: null, mode: 'answer', status: 503 });
  await breaks('deals');
  await hubspot(page).getByRole('button', { name: 'Clear' }).click();
  await hubspot(page).getByRole('button', { name: /^Load items/ }).click();
  await hubspot(page).getByText('Not everything could be read.').waitFor();
  await hold('partial');
  await breaks('contacts');
  await hubspot(page).getByLabel('Type').selectOption('Contact');
  await hubspot(page).getByRole('button', { name: 'Try again' }).waitFor();
  await look('failure');
  await relent(settings.vendors);
  await hubspot(page).getByRole('button', { name: 'Clear' }).click();

  await page.getByLabel('Search').fill('nothing of this name');
  await page.getByRole('heading', { name: 'Nothing matches' }).waitFor();
  await look('no-match');
  await page.getByRole('button', { name: 'Show all' }).click();
  await page.getByLabel('Category').selectOption({ label: 'CRM' });
  assert.deepEqual(await page.locator('.card:visible h2').allInnerTexts(), ['HubSpot']);
  await page.getByLabel('Category').selectOption('');
  await page.getByLabel('Search').fill('docs');
  assert.deepEqual(await page.locator('.card:visible h2').allInnerTexts(), ['Airtable', 'Notion']);
  await page.getByLabel('Search').fill('');

  // Small.
  await page.setViewportSize({ width: 320, height: 640 });
  await page.evaluate(() => scrollTo(0, 0));
  await look('small');
  await loaded();
  await look('small-items');
  await page.evaluate(() => scrollTo(0, 0));
  await card(page, 'Acme Desk').getByRole('button', { name: /^Connect/ }).click();
  await look('small-dialog');
  await page.keyboard.press('Escape');

  // Nothing configured, and nothing that answers: a Keyferry of neither kind is running here, so its answers are played.
  await page.setViewportSize({ width: 1024, height: 720 });
  const list = (url) => /^\/integrations\/?$/.test(url.pathname);
  await page.route(list, (route) => (route.request().isNavigationRequest() ? route.fallback() : route.fulfill({ json: [] })));
  await page.reload();
  await page.getByRole('heading', { name: 'Nothing to connect yet' }).waitFor();
  await look('empty');
  await page.unroute(list);
  const problem = { status: 503, code: 'store_unavailable', detail: 'The store cannot be reached at the moment; nothing is lost. Try again.' };
  await page.route(list, (route) => (route.request().isNavigationRequest() ? route.fallback() : route.fulfill({ status: 503, json: problem })));
  await page.reload();
  await page.getByText(problem.detail).waitFor();
  await look('error');
  await page.unroute(list);
  await page.getByRole('button', { name: 'Try again' }).click();
  await status(page, 'HubSpot', /^Connected$/);
  await person.leave();
}

await run({
  'is right in every state, light': (settings, browser) => everyState(settings, browser, 'light'),
  'is right in every state, dark': (settings, browser) => everyState(settings, browser, 'dark'),

  async 'points at the integration in the address'(settings, browser) {
    const person = await Person.at(browser, { watch: [settings.keyferry], viewport: { width: 800, height: 300 } });
    const page = await person.open(`${settings.keyferry}/integrations#notion`);
    await page.locator('#notion.pointed').waitFor();
    const heading = card(page, 'Notion').getByRole('heading');
    assert.ok(await heading.evaluate((heading) => heading === document.activeElement));
    const { y } = await card(page, 'Notion').boundingBox();
    assert.ok(y >= 0 && y < 300, `it is at ${y}`);
    await person.leave();
  },

  async 'is used by keyboard alone'(settings, browser) {
    const person = await Person.at(browser, { watch: [settings.keyferry], reducedMotion: 'reduce' });
    const page = await person.open(address(settings, 'keyboard'));
    await hubspot(page).waitFor();
    const focused = () => page.evaluate(() => document.activeElement.getAttribute('aria-label') ?? document.activeElement.textContent);
    const tabTo = async (wanted) => {
      for (let step = 0; step < 40; step += 1) {
        if (wanted.test(await focused())) return;
        await page.keyboard.press('Tab');
        const outline = await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle);
        assert.ok(outline !== 'none' || (await page.evaluate(() => document.activeElement === document.body)), `${await focused()} shows its focus`);
      }
      assert.fail(`${wanted} is not reached; at ${await focused()}`);
    };
    await tabTo(/^Connect: HubSpot$/);
    const popup = await person.popup(page, () => page.keyboard.press('Enter'));
    await popup.locator('input[name=login]').waitFor();
    assert.equal(await focused(), 'Cancel');
    await popup.keyboard.type('keyboard');
    await popup.keyboard.press('Tab');
    await popup.keyboard.type('any');
    await popup.keyboard.press('Enter');
    await popup.locator('input[name=prompt][value=consent]').waitFor({ state: 'attached' });
    await Promise.all([popup.waitForEvent('close'), popup.locator('button[type=submit]').press('Enter')]);
    await status(page, 'HubSpot', /^Connected$/);
    // The focus is on the card still.
    assert.match(await focused(), /: HubSpot$/);
    await tabTo(/^Disconnect: HubSpot$/);
    await page.keyboard.press('Enter');
    await page.getByRole('dialog').waitFor();
    assert.equal(await focused(), 'Keep connected');
    await page.keyboard.press('Tab');
    assert.equal(await focused(), 'Disconnect');
    await page.keyboard.press('Enter');
    await status(page, 'HubSpot', 'Not connected');
    assert.equal(await focused(), 'Connect: HubSpot');
    await person.leave();
  },
});
