// `keyferry demo` as the first five minutes with Keyferry: the page that it names, the provider's question, the notes as
// items; then the sample application.

import assert from 'node:assert/strict';

import { Person, assertAccessible, assertFits, camera, card, run, status } from './scenario.mjs';

const notes = (page) => card(page, 'Demo Notes');
const words = (page) => notes(page).locator('tbody bdi.name');

async function walk(settings, browser, colorScheme) {
  const picture = camera(colorScheme);
  const { origin: application } = new URL(settings.application);
  const viewport = { width: 1024, height: 480 };
  const person = await Person.at(browser, { watch: ['http://'], colorScheme, viewport });
  const hold = async (page, name) => {
    await assertAccessible(page, `${name}, ${colorScheme}`);
    await assertFits(page, `${name}, ${colorScheme}`);
  };
  const page = await person.open(settings.page);
  await status(page, 'Demo Notes', 'Not connected');

  const no = await person.popup(page, () => notes(page).getByRole('button', { name: /^Connect/ }).click());
  await Promise.all([no.waitForEvent('close'), no.getByRole('button', { name: 'Deny' }).click()]);
  await notes(page).getByRole('alert').filter({ hasText: 'Access was not granted' }).waitFor();

  const popup = await person.popup(page, () => notes(page).getByRole('button', { name: /^Connect/ }).click());
  await popup.getByRole('button', { name: 'Allow' }).waitFor();
  await hold(popup, 'demo-question');
  await popup.getByText('Ada Quill').click();
  await Promise.all([popup.waitForEvent('close'), popup.getByRole('button', { name: 'Allow' }).click()]);
  await status(page, 'Demo Notes', /^Connected$/);
  await notes(page).getByRole('button', { name: /^Load items/ }).click();
  await notes(page).locator('.count').filter({ hasText: /^2 items$/ }).waitFor();
  assert.deepEqual(await words(page).allInnerTexts(), ['Buy a ticket for the ferry.', 'The keys are under the third plant.']);
  await hold(page, 'demo');
  if (colorScheme === 'light') await picture(page, 'demo');
  await notes(page).getByRole('button', { name: /^Disconnect/ }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Disconnect' }).click();
  await status(page, 'Demo Notes', 'Not connected');

  await page.goto(application);
  await page.getByText('Nothing is connected yet.').waitFor();
  await hold(page, 'demo-application-unconnected');
  await page.getByRole('button', { name: 'Connect Demo Notes' }).click();
  await page.getByText('Bo Marchetti').click();
  await page.getByRole('button', { name: 'Allow' }).click();
  await page.getByText('Connected as').waitFor();
  const note = `Nobody waters them. (${colorScheme})`;
  await page.getByLabel('A note of your own').fill(note);
  await page.getByRole('button', { name: 'Write' }).click();
  await page.getByRole('listitem').filter({ hasText: note }).waitFor();
  await hold(page, 'demo-application');
  await page.getByRole('button', { name: 'Disconnect' }).click();
  await page.getByText('Nothing is connected yet.').waitFor();
  await page.setViewportSize({ width: 320, height: 640 });
  await hold(page, 'demo-application-small');
  await person.leave();
}

await run({
  'is walked, light': (settings, browser) => walk(settings, browser, 'light'),
  'is walked, dark': (settings, browser) => walk(settings, browser, 'dark'),
});
