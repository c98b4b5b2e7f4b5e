// The walk of a person through the page of `page.jsx`, against Keyferry at http://localhost:8000: says no, connects by the
// popup, loads, clears, for each of the three integrations. `expected` has what each is to load.

import assert from 'node:assert/strict';

import { Person, refuse, run, signIn } from '../browser/scenario.mjs';
import { serve } from './site.mjs';

const site = await serve(3000);

const button = (page, name) => page.getByRole('button', { name, exact: true });
const shown = (page) => page.getByLabel('Loaded data').inputValue();

/** What axios was answered, by the last part of the path. */
function answers(page) {
  const seen = {};
  page.on('response', (response) => {
    const { pathname, port } = new URL(response.url());
    if (port === '8000' && response.request().method() === 'POST') seen[pathname.split('/').pop()] = response;
  });
  return seen;
}

await run(
  Object.fromEntries(
    ['Airtable', 'HubSpot', 'Notion'].map((name) => [
      `${name} is refused, connected, loaded and cleared`,
      async ({ expected }, browser) => {
        const person = await Person.at(browser, {
          watch: ['http://localhost:3000', 'http://localhost:8000'],
          // Chromium writes failed requests on the console, and the refusal makes two: in the popup and in the page.
          expect: [/status of 4(00|24)/],
        });
        const page = await person.open('http://localhost:3000/');
        const seen = answers(page);
        await page.getByLabel('Integration').selectOption(name);

        // No: the popup closes by itself, and the page shows the sentence that came as `detail`.
        const refused = await person.popup(page, () => button(page, `Connect to ${name}`).click());
        await Promise.all([refused.waitForEvent('close'), refuse(refused)]);
        await page.getByRole('alert').filter({ hasText: 'No account is connected yet' }).waitFor();
        assert.equal(seen.credentials.status(), 424);
        const problem = await seen.credentials.json();
        assert.equal(await page.getByRole('alert').innerText(), problem.detail);

        // Yes.
        const popup = await person.popup(page, () => button(page, `Connect to ${name}`).click());
        const authorize = await seen.authorize.json();
        assert.equal(typeof authorize, 'string');
        assert.equal(seen.authorize.headers()['access-control-allow-origin'], 'http://localhost:3000');
        assert.equal(seen.authorize.headers()['access-control-allow-credentials'], undefined);
        await Promise.all([popup.waitForEvent('close'), signIn(popup, 'ada')]);
        await button(page, `${name} connected`).waitFor();
        const credentials = await seen.credentials.json();
        assert.equal(credentials.status, 'active');
        assert.deepEqual([credentials.org_id, credentials.user_id], ['TestOrg', 'TestUser']);
        assert.ok(!/token/i.test(JSON.stringify(credentials)), 'a handle, not a token');

        // Load and clear.
        await button(page, 'Load data').click();
        await page.waitForFunction(() => document.querySelector('textarea').value !== '' || document.querySelector('[role=alert]').textContent !== '');
        assert.equal(await page.getByRole('alert').innerText(), '');
        const items = JSON.parse(await shown(page));
        assert.deepEqual(items.map(({ id, type, name, parent_id }) => [id, type, name, parent_id]), expected[name]);
        await button(page, 'Clear data').click();
        assert.equal(await shown(page), '');
        await person.leave();
      },
    ]),
  ),
);
