// The connect page of a Keyferry that serves an application's users: nobody is there, a session is handed over behind the
// `#`, somebody else's link brings somebody else's session.

import assert from 'node:assert/strict';

import { COOP, NO_COOP, Person, assertAccessible, card, change, get, run, signIn, status } from './scenario.mjs';

const visit = async (settings, browser, from, session, expect = []) => {
  const person = await Person.at(browser, { watch: [settings.keyferry], expect });
  const to = `${settings.keyferry}/integrations#acme&session=${session}`;
  const page = await person.open(`${from}/link?to=${encodeURIComponent(to)}`);
  await page.locator('[data-ready]').waitFor({ state: 'attached' });
  await page.locator('#link').click();
  return { person, page };
};

const standing = async ({ keyferry }, session) => {
  const [entry] = await get(`${keyferry}/integrations?integration=acme`, { authorization: `Bearer ${session}` });
  return entry.status;
};

await run({
  async 'says what to do where nobody is signed in'(settings, browser) {
    const person = await Person.at(browser, { watch: [settings.keyferry], expect: [/401/] });
    const page = await person.open(`${settings.keyferry}/integrations`);
    await page.getByRole('heading', { name: 'Nobody is signed in here' }).waitFor();
    await page.getByText('For developers').click();
    await page.getByText('Send a Keyferry session').waitFor();
    await assertAccessible(page, 'nobody');
    await person.leave();
  },

  async 'takes a session that the application hands over, and keeps it out of sight'(settings, browser) {
    const session = settings.sessions.ada;
    const { person, page } = await visit(settings, browser, settings.application, session);
    await status(page, 'Acme', 'Not connected');
    assert.equal(page.url(), `${settings.keyferry}/integrations#acme`);
    assert.equal(await page.locator('.person').innerText(), 'For ada of analytical');
    await page.reload();
    const popup = await person.popup(page, () => card(page, 'Acme').getByRole('button', { name: /^Connect/ }).click());
    await Promise.all([popup.waitForEvent('close'), signIn(popup, 'ada')]);
    await status(page, 'Acme', /^Connected$/);
    assert.equal(await standing(settings, session), 'active');
    await person.leave();
  },

  async 'connects though the provider cuts the opener off'(settings, browser) {
    await change(settings.issuer, COOP);
    const session = settings.sessions.bob;
    const { person, page } = await visit(settings, browser, settings.application, session);
    const popup = await person.popup(page, () => card(page, 'Acme').getByRole('button', { name: /^Connect/ }).click());
    await popup.locator('input[name=login]').waitFor();
    await signIn(popup, 'bob');
    await status(page, 'Acme', /^Connected$/);
    assert.equal(await standing(settings, session), 'active');
    await change(settings.issuer, NO_COOP);
    await person.leave();
  },

  async 'does not take a session from a page that is not the application'(settings, browser) {
    const { person, page } = await visit(settings, browser, settings.hostile, settings.sessions.hostile, [/401/]);
    await page.getByText('was not opened from the application').waitFor();
    assert.equal(await card(page, 'Acme').count(), 0);
    assert.equal(page.url(), `${settings.keyferry}/integrations#acme`);
    assert.equal(await page.evaluate(() => sessionStorage.length), 0);
    await person.leave();
  },

  async 'says when a session is over'(settings, browser) {
    const { person, page } = await visit(settings, browser, settings.application, 'kfs_unknown', [/401/]);
    await page.getByRole('heading', { name: 'Your sign-in is over' }).waitFor();
    assert.equal(await page.evaluate(() => sessionStorage.length), 0);
    await person.leave();
  },
});
