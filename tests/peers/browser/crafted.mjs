// Links that somebody has made up, at an application with Keyferry in front of it and with pages on another, allowed origin
// too: arrivals that nobody began, names that lead elsewhere, places that are not the page's own, somebody else's session.

import assert from 'node:assert/strict';

import { Person, assertAccessible, get, run } from './scenario.mjs';

const NAMES = ['..', '.', '%2e%2e', '../..', 'sessions', 'a/../..', 'Acme', '', 'a'.repeat(64)];
const PLACES = ['javascript:alert(1)', 'data:text/html,x', 'https://evil.example/', '//evil.example/', '/\\evil.example/', 'https://:bad'];
const NAME = 'a'.repeat(32);

/** A browser in which `user`, if any, has logged in to the application; with all that its pages ask for. */
async function visitor({ keyferry }, browser, { user, expect = [] } = {}) {
  // The application has no favicon, which browsers ask for when they like.
  const person = await Person.at(browser, { watch: [keyferry], expect: [/404/, ...expect] });
  const page = await person.open(`${keyferry}/`);
  if (user) {
    await page.locator('input[name=user]').fill(user);
    await page.locator('input[name=password]').fill('any');
    await page.getByRole('button', { name: 'Log in' }).click();
    await page.getByRole('heading', { name: `Hello ${user}` }).waitFor();
  }
  const asked = [];
  page.on('request', (request) => asked.push(`${request.method()} ${new URL(request.url()).pathname}`));
  return { person, page, asked };
}

const speaksFor = (page, user) => page.locator('.person').filter({ hasText: `For ${user} of analytical` }).waitFor();

/** Follows a link on the page that is there, as if one of the application's users had written it. */
async function follow(page, to) {
  await page.evaluate((to) => {
    const link = Object.assign(document.createElement('a'), { href: to, textContent: 'Look here' });
    document.body.append(link);
  }, to);
  await page.getByRole('link', { name: 'Look here' }).click();
}

const withSession = ({ keyferry, sessions }, user) => `${keyferry}/integrations#acme&session=${sessions[user]}`;
const kept = (page) => page.evaluate(() => sessionStorage.getItem('keyferry-session'));

/** Comes from the pages on the other origin. */
async function comeOver(settings, page, user) {
  await page.goto(`${settings.frontEnd}/link?to=${encodeURIComponent(withSession(settings, user))}`);
  await page.locator('[data-ready]').waitFor({ state: 'attached' });
  await page.locator('#link').click();
}

await run({
  async 'asks for nothing that this tab did not begin'(settings, browser) {
    const { person, page, asked } = await visitor(settings, browser, { user: 'ada' });
    const marks = ['redirect', `redirect.${NAME}`, NAME, 'x'];
    const brought = [['acme', 'unconfirmed'], ['acme', 'active'], ['acme', 'nonsense'], ['..', 'unconfirmed'], ['acme', 'constructor'], ['acme', '<b>']];
    for (const [integration, status] of brought) {
      for (const keyferry_attempt of marks) {
        const what = `${keyferry_attempt} ${integration} ${status}`;
        asked.length = 0;
        await page.goto(`${settings.keyferry}/integrations?${new URLSearchParams({ keyferry_attempt, integration, status, code: 'X' })}`);
        // What came is dealt with before the list is asked for.
        await speaksFor(page, 'ada');
        assert.deepEqual(asked.filter((request) => !request.startsWith('GET /integrations')), [], what);
        assert.deepEqual(asked.filter((request) => request.endsWith('/connection')), [], what);
        assert.equal(page.url(), `${settings.keyferry}/integrations`, what);
      }
    }
    await person.leave();
  },

  async 'leads nowhere by a name, though the tab has it noted'(settings, browser) {
    const { person, page, asked } = await visitor(settings, browser, { user: 'ada' });
    for (const integration of NAMES) {
      for (const status of ['unconfirmed', 'active']) {
        const keyferry_attempt = `redirect.${NAME}`;
        await page.evaluate(([name, integration]) => sessionStorage.setItem(name, integration), [`keyferry_attempt.${keyferry_attempt}`, integration]);
        asked.length = 0;
        await page.goto(`${settings.keyferry}/integrations?${new URLSearchParams({ keyferry_attempt, integration, status, code: 'X' })}`);
        await speaksFor(page, 'ada');
        const elsewhere = asked.filter((request) => !request.startsWith('GET /integrations') || request.endsWith('/connection'));
        assert.deepEqual(elsewhere, [], `${integration} ${status}`);
      }
    }
    const seen = await get(`${settings.application}/_seen`);
    assert.deepEqual(seen.filter(({ target }) => /confirm|connection/.test(target)), []);
    await person.leave();
  },

  async 'takes only names of integrations, and only places of its own'(settings, browser) {
    const { person, page, asked } = await visitor(settings, browser, { user: 'ada' });
    asked.length = 0;
    const codes = await page.evaluate(async ([names, places]) => {
      const { keyferry } = await import('/integrations/connect.js');
      const opened = [];
      globalThis.open = (...given) => opened.push(given) && null;
      const code = (promise) => promise.then(() => 'taken', (error) => error.code);
      const popup = { close() {}, closed: false, location: { replace() {} } };
      const answers = [];
      for (const name of [...names, ['acme'], undefined]) {
        for (const act of ['connect', 'connection', 'disconnect', 'confirm']) answers.push(await code(keyferry[act](name, {})));
        answers.push(await code(keyferry.items(name).next()), await code(keyferry.connect(name, { popup: false })));
      }
      for (const returnTo of places) {
        answers.push(await code(keyferry.connect('acme', { returnTo, popup: false })));
        answers.push(await code(keyferry.connect('acme', { returnTo, popup })));
      }
      return { wrong: answers.filter((answer) => answer !== 'bad_request'), opened, noted: sessionStorage.length };
    }, [NAMES, PLACES]);
    assert.deepEqual(codes, { wrong: [], opened: [], noted: 0 });
    assert.deepEqual(asked, ['GET /integrations/connect.js']);
    await person.leave();
  },

  async "takes nobody's session from a link on the application's own pages"(settings, browser) {
    const { person, page } = await visitor(settings, browser, { user: 'ada' });
    await follow(page, withSession(settings, 'eve'));
    await speaksFor(page, 'ada');
    await page.getByRole('alert').filter({ hasText: 'was not used' }).waitFor();
    assert.equal(page.url(), `${settings.keyferry}/integrations#acme`);
    assert.equal(await kept(page), null);
    await person.leave();

    const nobody = await visitor(settings, browser, { expect: [/401/] });
    await follow(nobody.page, withSession(settings, 'eve'));
    await nobody.page.getByRole('heading', { name: 'Nobody is signed in here' }).waitFor();
    assert.equal(await kept(nobody.page), null);
    await nobody.person.leave();
  },

  async 'refuses the session of another person than the one who is logged in'(settings, browser) {
    const { person, page } = await visitor(settings, browser, { user: 'ada' });
    await comeOver(settings, page, 'eve');
    await speaksFor(page, 'ada');
    await page.getByRole('alert').filter({ hasText: "is another person's. It was not used." }).waitFor();
    assert.equal(await kept(page), null);
    await assertAccessible(page, 'another person');

    await comeOver(settings, page, 'ada');
    await speaksFor(page, 'ada');
    assert.equal(await kept(page), settings.sessions.ada);
    await person.leave();
  },

  async 'takes a session where nobody is logged in, until somebody is'(settings, browser) {
    const { person, page } = await visitor(settings, browser, { expect: [/401/] });
    await comeOver(settings, page, 'eve');
    await speaksFor(page, 'eve');
    assert.equal(await kept(page), settings.sessions.eve);

    await page.goto(`${settings.keyferry}/`);
    await page.locator('input[name=user]').fill('ada');
    await page.locator('input[name=password]').fill('any');
    await page.getByRole('button', { name: 'Log in' }).click();
    await page.getByRole('heading', { name: 'Hello ada' }).waitFor();
    await page.goto(`${settings.keyferry}/integrations`);
    await speaksFor(page, 'ada');
    assert.equal(await kept(page), null);
    await person.leave();
  },
});
