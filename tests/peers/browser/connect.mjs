// A person on the connect page of an open Keyferry: connects, refuses, connects again, disconnects, with and without what
// browsers and providers put in the way.

import assert from 'node:assert/strict';

import { COOP, NO_COOP, Person, assertAccessible, card, change, get, refuse, run, signIn, status } from './scenario.mjs';

const CONNECT = /^Connect: HubSpot$/;
const AGAIN = /^Connect again: HubSpot$/;

const button = (page, name) => card(page, 'HubSpot').getByRole('button', { name });
const address = ({ keyferry }, user) => `${keyferry}/integrations?org_id=analytical&user_id=${user}`;

async function standing({ keyferry }, user) {
  const [entry] = await get(`${keyferry}/integrations?integration=hubspot`, { 'keyferry-org': 'analytical', 'keyferry-user': user });
  return entry;
}

async function visit(settings, browser, user, options) {
  const person = await Person.at(browser, { watch: [settings.keyferry], ...options });
  const page = await person.open(address(settings, user));
  await card(page, 'HubSpot').waitFor();
  return { person, page };
}

await run({
  async 'connects in a popup, again, and disconnects'(settings, browser) {
    const { person, page } = await visit(settings, browser, 'ada');
    await status(page, 'HubSpot', 'Not connected');
    assert.equal(await page.locator('.person').innerText(), 'For ada of analytical');

    const popup = await person.popup(page, () => button(page, CONNECT).click());
    await status(page, 'HubSpot', 'Waiting for HubSpot in the other window');
    await Promise.all([popup.waitForEvent('close'), signIn(popup, 'ada')]);
    await status(page, 'HubSpot', /^Connected$/);
    const first = await standing(settings, 'ada');
    assert.equal(first.status, 'active');
    assert.equal(await page.getByRole('status').innerText(), 'HubSpot is connected.');

    const second = await person.popup(page, () => button(page, AGAIN).click());
    await Promise.all([second.waitForEvent('close'), signIn(second, 'ada')]);
    await button(page, AGAIN).waitFor();
    const again = await standing(settings, 'ada');
    assert.equal(again.connection, first.connection);
    assert.notEqual(again.authorization, first.authorization);

    // Asked, and not meant.
    await button(page, /^Disconnect/).click();
    await page.getByRole('dialog', { name: 'Disconnect HubSpot?' }).waitFor();
    await page.keyboard.press('Escape');
    await page.getByRole('dialog').waitFor({ state: 'detached' });
    assert.equal((await standing(settings, 'ada')).status, 'active');
    // And meant.
    await button(page, /^Disconnect/).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Disconnect' }).click();
    await status(page, 'HubSpot', 'Not connected');
    assert.equal((await standing(settings, 'ada')).status, 'disconnected');
    assert.match(await page.evaluate(() => document.activeElement.getAttribute('aria-label')), CONNECT);
    await person.leave();
  },

  async 'is told when the person says no'(settings, browser) {
    const { person, page } = await visit(settings, browser, 'no');
    const popup = await person.popup(page, () => button(page, CONNECT).click());
    await Promise.all([popup.waitForEvent('close'), refuse(popup)]);
    await card(page, 'HubSpot').getByRole('alert').filter({ hasText: 'Access was not granted' }).waitFor();
    await status(page, 'HubSpot', 'Not connected');
    await person.leave();
  },

  async 'connects though the provider cuts the opener off'(settings, browser) {
    await change(settings.issuer, COOP);
    const { person, page } = await visit(settings, browser, 'cut');
    const popup = await person.popup(page, () => button(page, CONNECT).click());
    await popup.locator('input[name=login]').waitFor();
    // The policy does what it is there for.
    assert.equal(await popup.evaluate(() => globalThis.opener), null);
    await signIn(popup, 'cut');
    await status(page, 'HubSpot', /^Connected$/);
    assert.equal((await standing(settings, 'cut')).status, 'active');

    const refused = await person.popup(page, () => button(page, AGAIN).click());
    await refused.locator('input[name=prompt]').waitFor({ state: 'attached' });
    await refuse(refused);
    await card(page, 'HubSpot').getByRole('alert').filter({ hasText: 'Access was not granted' }).waitFor();
    await status(page, 'HubSpot', /^Connected$/);
    await change(settings.issuer, NO_COOP);
    await person.leave();
  },

  async 'goes there itself where popups are blocked'(settings, browser) {
    const { person, page } = await visit(settings, browser, 'blocked');
    await page.evaluate(() => {
      globalThis.open = () => null;
    });
    await button(page, CONNECT).click();
    await page.waitForURL((url) => url.href.startsWith(settings.issuer));
    await signIn(page, 'blocked');
    await page.waitForURL((url) => url.href.startsWith(settings.keyferry));
    await status(page, 'HubSpot', /^Connected$/);
    assert.equal(page.url(), `${address(settings, 'blocked')}#hubspot`);
    await page.getByRole('status').filter({ hasText: 'HubSpot is connected.' }).waitFor({ state: 'attached' });

    // And back without a connection.
    await page.evaluate(() => {
      globalThis.open = () => null;
    });
    await button(page, AGAIN).click();
    await page.waitForURL((url) => url.href.startsWith(settings.issuer));
    await refuse(page);
    await card(page, 'HubSpot').getByRole('alert').filter({ hasText: 'Access was not granted' }).waitFor();
    await person.leave();
  },

  async 'gives up when asked, and when the window is closed'(settings, browser) {
    const { person, page } = await visit(settings, browser, 'away');
    const first = await person.popup(page, () => button(page, CONNECT).click());
    await first.locator('input[name=login]').waitFor();
    await Promise.all([first.waitForEvent('close'), button(page, 'Cancel').click()]);
    await button(page, CONNECT).waitFor();
    assert.match(await page.evaluate(() => document.activeElement.getAttribute('aria-label')), CONNECT);

    const second = await person.popup(page, () => button(page, CONNECT).click());
    await second.locator('input[name=login]').waitFor();
    await second.close();
    await card(page, 'HubSpot').getByRole('alert').filter({ hasText: 'The window was closed' }).waitFor();
    await person.leave();
  },

  async 'hears of what happens in other windows'(settings, browser) {
    const { person, page } = await visit(settings, browser, 'twice');
    const other = await person.open(address(settings, 'twice'));
    const popup = await person.popup(other, () => button(other, CONNECT).click());
    await Promise.all([popup.waitForEvent('close'), signIn(popup, 'twice')]);
    await status(other, 'HubSpot', /^Connected$/);
    await status(page, 'HubSpot', /^Connected$/);
    await person.leave();
  },

  async 'closes the window though asking was quicker than its way back'(settings, browser) {
    const { person, page } = await visit(settings, browser, 'slow');
    const popup = await person.popup(page, () => button(page, CONNECT).click());
    // The window can say what it brings only when the page knows already.
    let isHeld = false;
    await person.context.route(/\/integrations\/connect\.js$/, async (route) => {
      isHeld = true;
      await status(page, 'HubSpot', /^Connected$/);
      await route.continue();
    });
    await Promise.all([popup.waitForEvent('close'), signIn(popup, 'slow')]);
    assert.ok(isHeld);
    await person.leave();
  },

  async 'asks for what the provider needs first'(settings, browser) {
    const { person, page } = await visit(settings, browser, 'variables');
    const acme = card(page, 'Acme Desk');
    await acme.getByRole('button', { name: /^Connect/ }).click();
    const dialog = page.getByRole('dialog', { name: 'Connect Acme Desk' });
    const subdomain = dialog.getByLabel('Subdomain');
    assert.equal(await dialog.getByLabel('Region').inputValue(), 'eu');
    const token = dialog.getByLabel('API token');
    assert.equal(await token.getAttribute('type'), 'password');
    assert.equal(await subdomain.getAttribute('type'), 'text');
    await token.fill('a secret');
    await dialog.getByRole('button', { name: 'Continue' }).click();
    await dialog.getByText('This is needed.').waitFor();
    await subdomain.fill('Not one!');
    await dialog.getByRole('button', { name: 'Continue' }).click();
    await dialog.getByText('This does not have the form that is needed.').waitFor();
    assert.equal(await subdomain.getAttribute('aria-invalid'), 'true');
    assert.ok(await subdomain.evaluate((field) => field === document.activeElement));
    await subdomain.fill('lovelace');
    await dialog.getByLabel('Region').selectOption('us');
    const popup = await person.popup(page, () => subdomain.press('Enter'));
    await popup.locator('input[name=login]').waitFor();
    const asked = new URL((await popup.evaluate(() => performance.getEntriesByType('navigation')[0]?.name)) ?? popup.url());
    assert.ok(asked.href.startsWith(settings.issuer), asked.href);
    await Promise.all([popup.waitForEvent('close'), signIn(popup, 'variables')]);
    await status(page, 'Acme Desk', /^Connected$/);
    await person.leave();
  },

  async 'connects again what the provider has forgotten'(settings, browser) {
    const { person, page } = await visit(settings, browser, 'forgotten', { expect: [/424/] });
    await status(page, 'HubSpot', /^Connected$/);
    await button(page, /^Load items/).click();
    await status(page, 'HubSpot', 'Has to be connected again');
    const notice = card(page, 'HubSpot').locator('.items').getByRole('alert');
    assert.match(await notice.innerText(), /connect/i);
    await assertAccessible(page, 'reconnect');
    assert.equal((await standing(settings, 'forgotten')).status, 'reconnect_required');

    const popup = await person.popup(page, () => button(page, AGAIN).click());
    await Promise.all([popup.waitForEvent('close'), signIn(popup, 'forgotten')]);
    await status(page, 'HubSpot', /^Connected$/);
    // What was wanted before comes now.
    await card(page, 'HubSpot').locator('.count').filter({ hasText: /^7 items$/ }).waitFor();
    assert.equal((await standing(settings, 'forgotten')).status, 'active');
    await person.leave();
  },

  async 'says why a used or unknown link does not work'(settings, browser) {
    const person = await Person.at(browser, { watch: [settings.keyferry], expect: [/400/] });
    const page = await person.open(`${settings.keyferry}/integrations/hubspot/oauth2callback?code=x&state=over`);
    await page.getByRole('heading', { name: 'HubSpot was not connected' }).waitFor();
    await page.getByText('Start again from the application.').waitFor();
    await person.leave();
  },
});
