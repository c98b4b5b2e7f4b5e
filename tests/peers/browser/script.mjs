// connect.js in an application of another origin, where every authorization waits for the word of whoever began it; and
// what others can make of a link.

import assert from 'node:assert/strict';

import { COOP, NO_COOP, Person, change, get, run, signIn } from './scenario.mjs';

const ready = '[data-ready]';

async function application(settings, browser) {
  const person = await Person.at(browser, { watch: [settings.keyferry, settings.application] });
  const page = await person.open(`${settings.application}/?at=${settings.keyferry}`);
  await page.locator(ready).waitFor({ state: 'attached' });
  return { person, page };
}

const returnTo = (settings) => `${settings.application}/returned?at=${encodeURIComponent(settings.keyferry)}`;

async function connect(person, page, wanted) {
  await page.evaluate((options) => {
    globalThis.wanted = options;
  }, wanted);
  return person.popup(page, () => page.locator('#connect').click());
}

const ended = (page) => page.evaluate(() => globalThis.ended);

async function standing({ keyferry }, session) {
  const [entry] = await get(`${keyferry}/integrations?integration=acme`, { authorization: `Bearer ${session}` });
  return entry;
}

async function begin({ keyferry }, session, form = {}) {
  const answer = await fetch(`${keyferry}/integrations/acme/authorize`, {
    method: 'POST',
    headers: { authorization: `Bearer ${session}` },
    body: new URLSearchParams(form),
  });
  assert.equal(answer.status, 200);
  return answer.json();
}

await run({
  async 'connects with a session from an allowed origin'(settings, browser) {
    const { person, page } = await application(settings, browser);
    const session = settings.sessions.ada;
    const popup = await connect(person, page, { integration: 'acme', session });
    await Promise.all([popup.waitForEvent('close'), signIn(popup, 'ada')]);
    const { connection, ...wrong } = await ended(page);
    assert.deepEqual(wrong, {});
    assert.equal(connection.status, 'active');
    assert.equal(connection.user_id, 'ada');
    assert.equal((await standing(settings, session)).status, 'active');

    const api = await page.evaluate(async (session) => {
      const { keyferry } = globalThis;
      const [entry] = await keyferry.list({ session });
      const one = await keyferry.connection('acme', { session });
      const gone = await keyferry.disconnect('acme', { session });
      const wrong = await keyferry.connection('acme', { session: 'kfs_wrong' }).catch(({ code, status }) => ({ code, status }));
      return { entry: entry.status, one: one.status, gone: gone.status, wrong };
    }, session).catch((error) => assert.fail(error));
    assert.deepEqual(api, { entry: 'active', one: 'active', gone: 'disconnected', wrong: { code: 'unauthenticated', status: 401 } });
    person.complaints = person.complaints.filter((text) => !text.includes('401'));
    await person.leave();
  },

  async 'comes back to a page of the application where the provider cuts the opener off'(settings, browser) {
    await change(settings.issuer, COOP);
    const { person, page } = await application(settings, browser);
    const session = settings.sessions.bob;
    const popup = await connect(person, page, { integration: 'acme', session, returnTo: returnTo(settings) });
    await popup.locator('input[name=login]').waitFor();
    assert.equal(await popup.evaluate(() => globalThis.opener), null);
    await signIn(popup, 'bob');
    const { connection } = await ended(page);
    assert.equal(connection.status, 'active');
    assert.equal(connection.user_id, 'bob');
    assert.equal((await standing(settings, session)).status, 'active');
    await change(settings.issuer, NO_COOP);
    await person.leave();
  },

  async 'comes back to the same page where there is no window'(settings, browser) {
    const { person, page } = await application(settings, browser);
    const session = settings.sessions.redirect;
    await page.evaluate(({ session, returnTo }) => {
      sessionStorage.setItem('session', session);
      globalThis.keyferry.connect('acme', { session, returnTo, popup: false });
    }, { session, returnTo: returnTo(settings) });
    await page.waitForURL((url) => url.href.startsWith(settings.issuer));
    await signIn(page, 'redirect');
    await page.waitForURL((url) => url.href.startsWith(settings.application));
    await page.locator(ready).waitFor({ state: 'attached' });
    const { connection } = await page.evaluate(() => globalThis.returned);
    assert.equal(connection.status, 'active');
    // The one-time code does not stay in the address.
    assert.equal(page.url(), returnTo(settings));
    await person.leave();
  },

  async 'says that a window is blocked, and that it took too long'(settings, browser) {
    const { person, page } = await application(settings, browser);
    const blocked = await page.evaluate(async (session) => {
      const open = globalThis.open;
      globalThis.open = () => null;
      const error = await globalThis.keyferry.connect('acme', { session }).catch((error) => error);
      globalThis.open = open;
      return { code: error.code, is: error instanceof globalThis.KeyferryError, detail: error.detail };
    }, settings.sessions.ada);
    assert.deepEqual([blocked.code, blocked.is], ['popup_blocked', true]);
    assert.match(blocked.detail, /popups/);
    const popup = await connect(person, page, { integration: 'acme', session: settings.sessions.ada, timeout: 1500 });
    await popup.waitForEvent('close');
    assert.equal((await ended(page)).code, 'timeout');
    const unknown = await connect(person, page, { integration: 'nobody', session: settings.sessions.ada });
    if (!unknown.isClosed()) await unknown.waitForEvent('close');
    assert.equal((await ended(page)).code, 'unknown_integration');
    person.complaints = person.complaints.filter((text) => !/40[34]/.test(text));
    await person.leave();
  },

  async 'tells a hostile opener nothing'(settings, browser) {
    const person = await Person.at(browser, { watch: [settings.keyferry], expect: [/403/] });
    const start = await begin(settings, settings.sessions.victim);
    const page = await person.open(`${settings.hostile}/hostile?open=${encodeURIComponent(start)}`);
    await page.locator(ready).waitFor({ state: 'attached' });
    const popup = await person.popup(page, () => page.locator('#open').click());
    await Promise.all([popup.waitForEvent('close'), signIn(popup, 'victim')]);
    // What the callback sent, it had sent before it closed; a message to oneself comes behind it.
    const heard = await page.evaluate(
      () => new Promise((resolve) => {
        addEventListener('message', () => resolve(globalThis.heard));
        globalThis.postMessage('last', '*');
      }),
    );
    assert.deepEqual(heard, ['last']);
    assert.equal((await standing(settings, settings.sessions.victim)).status, null);

    // Nor may it ask Keyferry, or read anything but what is the same for everybody.
    const asked = await page.evaluate(async (keyferry) => {
      const attempt = (path, options) => fetch(keyferry + path, options).then(({ status }) => status, () => 'refused');
      return {
        script: await attempt('/integrations/connect.js'),
        page: await attempt('/integrations/page.js'),
        list: await attempt('/integrations'),
        authorize: await attempt('/integrations/acme/authorize', { method: 'POST' }),
      };
    }, settings.keyferry);
    assert.deepEqual(asked, { script: 200, page: 'refused', list: 'refused', authorize: 'refused' });
    await person.leave();
  },

  async 'connects nobody when two people share one link'(settings, browser) {
    const [sender, opener] = [settings.sessions.sender, settings.sessions.opener];
    // The sender begins and passes the link on; the opener's application confirms what its window brings.
    const start = await begin(settings, sender, { return_to: returnTo(settings) });
    const person = await Person.at(browser, { watch: [settings.keyferry, settings.application], expect: [/403/] });
    const page = await person.open(`${settings.application}/?at=${settings.keyferry}`);
    await page.evaluate((session) => sessionStorage.setItem('session', session), opener);
    await page.goto(`${start}`);
    await signIn(page, 'opener');
    await page.waitForURL((url) => url.href.startsWith(settings.application));
    const code = new URL(page.url()).searchParams.get('code');
    assert.ok(code);
    const error = await page.evaluate(
      ([code, session, where]) => import(`${where}/integrations/connect.js`).then(({ keyferry }) => keyferry.confirm('acme', code, { session })).catch(({ code }) => code),
      [code, opener, settings.keyferry],
    );
    assert.equal(error, 'forbidden');
    for (const session of [sender, opener]) assert.equal((await standing(settings, session)).status, null);

    // A link works once.
    await page.goto(start);
    await page.getByRole('heading').waitFor();
    assert.equal(page.url(), start);
    person.complaints = person.complaints.filter((text) => !text.includes('400'));
    await person.leave();
  },

  async 'connects nobody by what another attempt brings back'(settings, browser) {
    const { person, page } = await application(settings, browser);
    const session = settings.sessions.waiting;
    const popup = await connect(person, page, { integration: 'acme', session, returnTo: returnTo(settings) });
    await popup.locator('input[name=login]').waitFor();
    // Somebody else's code comes to the application's origin, under the name of another attempt.
    const other = await person.open(`${settings.application}/link?to=/`);
    await other.evaluate(() => {
      const message = { type: 'keyferry', integration: 'acme', status: 'unconfirmed', code: 'stolen' };
      for (const attempt of ['guessed', undefined]) new BroadcastChannel('keyferry').postMessage({ ...message, attempt });
      globalThis.opener?.postMessage(message, '*');
    });
    await Promise.all([popup.waitForEvent('close'), signIn(popup, 'waiting')]);
    const { connection } = await ended(page);
    assert.equal(connection.user_id, 'waiting');
    await person.leave();
  },
});
