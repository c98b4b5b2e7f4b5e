// Two people in two browsers at the application of examples/behind-keyferry, as its README tells it: one connects and sees
// her pages, the other sees nothing of them.

import assert from 'node:assert/strict';

import { Person, assertAccessible, camera, card, run, status } from '../browser/scenario.mjs';

const HERE = 'http://localhost:8080';
const PROVIDER = 'Make-believe Notion';

/** Logs in at the application. */
async function enter(browser, user, name) {
  // Chromium writes failed requests on the console: nobody is logged in at first, and nothing is connected.
  const person = await Person.at(browser, { watch: [HERE], expect: [/status of 4(01|24)/] });
  const page = await person.open(HERE);
  await page.getByRole('button', { name: user, exact: true }).click();
  await page.getByText(name).waitFor();
  return { person, page };
}

await run({
  async 'Ada connects and sees her pages, Bob does not'(_settings, browser) {
    const ada = await enter(browser, 'Ada', 'Ada Lovelace');
    await ada.page.getByRole('link', { name: 'connect it' }).click();
    const connect = () => card(ada.page, PROVIDER).getByRole('button', { name: /^Connect/ }).click();
    const popup = await ada.person.popup(ada.page, connect);
    await Promise.all([popup.waitForEvent('close'), popup.getByRole('link', { name: 'Allow' }).click()]);
    await status(ada.page, PROVIDER, /^Connected$/);

    await ada.page.goto(HERE);
    await ada.page.getByText('All of this is from Notion.').waitFor();
    assert.deepEqual(await ada.page.getByRole('listitem').allInnerTexts(), [
      'On the Economy of Machinery (page)',
      'Sketch of the Analytical Engine (page)',
    ]);

    await assertAccessible(ada.page, 'the example');
    await ada.page.setViewportSize({ width: 800, height: 400 });
    await camera('light')(ada.page, 'behind-an-application');

    const bob = await enter(browser, 'Bob', 'Bob Babbage');
    await bob.page.getByRole('link', { name: 'connect it' }).waitFor();
    await bob.person.leave();
    await ada.person.leave();
  },
});
