// An application with cookie sessions that nobody changed, and Keyferry in front of it: people log in there, and connect and
// load on the same origin, each for themselves.

import assert from 'node:assert/strict';

import { Person, assertAccessible, card, order, refuse, run, signIn, status } from './scenario.mjs';

const hubspot = (page) => card(page, 'HubSpot');
const connect = (page) => hubspot(page).getByRole('button', { name: /^Connect/ });

/** A browser in which `user` has logged in to the application, on its front page. */
async function logIn({ keyferry }, browser, user, expect = []) {
  const person = await Person.at(browser, { watch: [keyferry], expect });
  const page = await person.open(`${keyferry}/`);
  await page.locator('input[name=user]').fill(user);
  await page.locator('input[name=password]').fill('any');
  await page.getByRole('button', { name: 'Log in' }).click();
  await page.getByRole('heading', { name: `Hello ${user}` }).waitFor();
  return { person, page };
}

async function toThePage({ keyferry }, { page }, user) {
  await page.goto(`${keyferry}/integrations`);
  await page.locator('.person').filter({ hasText: `For ${user} of analytical` }).waitFor();
}

/** Connects an account of HubSpot that has this number. */
async function connects({ issuer }, { person, page }, user, account) {
  await order(issuer, { endpoint: 'token', grant_type: 'authorization_code', mode: 'patch', patch: { hub_id: account } });
  const popup = await person.popup(page, () => connect(page).click());
  await Promise.all([popup.waitForEvent('close'), signIn(popup, user)]);
  await status(page, 'HubSpot', /^Connected$/);
}

/** Loads the items, and answers the account that they link to where HubSpot itself says no address. */
async function accountOf(page) {
  await hubspot(page).getByRole('button', { name: /^Load items/ }).click();
  await hubspot(page).locator('.count').filter({ hasText: /^7 items$/ }).waitFor();
  const link = hubspot(page).getByRole('row', { name: 'Pilot' }).getByRole('link');
  return /contacts\/(\d+)\//.exec(await link.getAttribute('href'))[1];
}

await run({
  async 'connects and loads for two people, each for themselves'(settings, browser) {
    const [ada, bob] = await Promise.all([logIn(settings, browser, 'ada'), logIn(settings, browser, 'bob')]);
    await toThePage(settings, ada, 'ada');
    await toThePage(settings, bob, 'bob');
    await connects(settings, ada, 'ada', 1001);
    await bob.page.reload();
    await status(bob.page, 'HubSpot', 'Not connected');
    await connects(settings, bob, 'bob', 2002);
    assert.equal(await accountOf(ada.page), '1001');
    assert.equal(await accountOf(bob.page), '2002');
    await assertAccessible(ada.page, 'in front of an application');

    // What one of them ends is the other's still.
    await hubspot(ada.page).getByRole('button', { name: /^Disconnect/ }).click();
    await ada.page.getByRole('dialog').getByRole('button', { name: 'Disconnect' }).click();
    await status(ada.page, 'HubSpot', 'Not connected');
    await bob.page.reload();
    await status(bob.page, 'HubSpot', /^Connected$/);
    assert.equal(await accountOf(bob.page), '2002');
    await ada.person.leave();
    await bob.person.leave();
  },

  async 'says so when the person said no'(settings, browser) {
    const { person, page } = await logIn(settings, browser, 'no');
    await toThePage(settings, { page }, 'no');
    const popup = await person.popup(page, () => connect(page).click());
    await Promise.all([popup.waitForEvent('close'), refuse(popup)]);
    await hubspot(page).getByRole('alert').filter({ hasText: 'Access was not granted' }).waitFor();
    await status(page, 'HubSpot', 'Not connected');
    await person.leave();
  },

  async 'connects nobody when a start link is opened by somebody else'(settings, browser) {
    const sender = await logIn(settings, browser, 'sender');
    const opener = await logIn(settings, browser, 'opener', [/403/]);
    const link = await sender.page.evaluate(() =>
      fetch('/integrations/hubspot/authorize', { method: 'POST' }).then((answer) => answer.json()),
    );
    const page = await opener.person.open(link);
    await page.getByRole('heading', { name: 'HubSpot was not connected' }).waitFor();
    await page.getByText('begun by somebody else').waitFor();
    await assertAccessible(page, "somebody else's link");
    assert.equal(page.url(), link, 'the provider is not even reached');
    for (const [{ page }, user] of [[sender, 'sender'], [opener, 'opener']]) {
      await toThePage(settings, { page }, user);
      await status(page, 'HubSpot', 'Not connected');
    }
    await sender.person.leave();
    await opener.person.leave();
  },

  async 'says to log in when the person has logged out'(settings, browser) {
    const { person, page } = await logIn(settings, browser, 'leaving', [/401/]);
    await toThePage(settings, { page }, 'leaving');
    const other = await person.open(`${settings.keyferry}/`);
    await other.getByRole('button', { name: 'Log out' }).click();
    await other.getByRole('heading', { name: 'Log in' }).waitFor();
    // What is begun now is nobody's.
    const popup = await person.popup(page, () => connect(page).click());
    if (!popup.isClosed()) await popup.waitForEvent('close');
    await page.getByRole('heading', { name: 'Nobody is logged in' }).waitFor();
    assert.equal(await hubspot(page).count(), 0);
    await assertAccessible(page, 'nobody');
    await page.getByRole('link', { name: 'To the application' }).click();
    await page.locator('input[name=user]').waitFor();
    await person.leave();
  },

  async 'leaves the application its own ways to talk'({ keyferry }, browser) {
    const { person, page } = await logIn({ keyferry }, browser, 'talker');
    const said = await page.evaluate(
      () => new Promise((resolve, reject) => {
        const socket = new WebSocket(`ws://${location.host}/socket`);
        socket.onopen = () => socket.send('hello');
        socket.onmessage = ({ data }) => {
          resolve(data);
          socket.close();
        };
        socket.onerror = () => reject(new Error('no socket'));
      }),
    );
    assert.equal(said, 'hello');
    const third = await page.evaluate(
      () => new Promise((resolve) => {
        const events = new EventSource('/events');
        events.onmessage = ({ data }) => data === '3' && (events.close(), resolve(data));
      }),
    );
    assert.equal(third, '3');
    await person.leave();
  },
});
