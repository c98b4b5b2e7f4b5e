// What every scenario stands on: Debian's Chromium driven by Playwright, a watch over what the pages complain about, the
// sign-in at the authorization server as a person walks it, and axe-core.
//
// A scenario gets its settings as JSON in the first argument, asserts with node:assert, and ends with 0 or says what was
// wrong. Chromium is /usr/bin/chromium unless CHROMIUM names another.

import assert from 'node:assert/strict';
import { mkdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';

import { chromium } from 'playwright-core';

const FLAGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-dev-shm-usage',
  '--disable-background-networking',
  '--disable-component-update',
  '--no-first-run',
  '--proxy-server=direct://',
  '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost',
];
const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const PATIENCE = 20_000;

/** Runs the scenario's parts in order, each named, with the settings and a browser; ends the process when one fails. */
export async function run(parts) {
  const settings = JSON.parse(process.argv[2]);
  const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: FLAGS });
  let status = 0;
  for (const [name, part] of Object.entries(parts)) {
    try {
      await part(settings, browser);
      console.log(`ok: ${name}`);
    } catch (error) {
      console.error(`failed: ${name}\n${error.stack}`);
      // Where everybody stood says more than what was waited for.
      for (const page of browser.contexts().flatMap((context) => context.pages())) {
        const text = await page.innerText('body', { timeout: 1000 }).catch(String);
        console.error(`  at ${page.url().split('?')[0]}: ${text.replaceAll(/\s+/g, ' ').slice(0, 300)}`);
      }
      status = 1;
      await Promise.all(browser.contexts().map((context) => context.close()));
    }
  }
  await browser.close();
  process.exit(status);
}

/**
 * A person's browser, with cookies of its own. `complaints` of every page are kept: errors on the console, exceptions,
 * what a policy refused; `expect` lists patterns of those that belong to the scenario.
 */
export class Person {
  static async at(browser, { watch, expect = [], ...options }) {
    const context = await browser.newContext({ locale: 'en-GB', timezoneId: 'UTC', ...options });
    context.setDefaultTimeout(PATIENCE);
    return new Person(context, watch, expect);
  }

  constructor(context, watch, expect) {
    this.context = context;
    this.complaints = [];
    const isOurs = (url) => watch.some((origin) => url.startsWith(origin));
    context.addInitScript(() => {
      document.addEventListener('securitypolicyviolation', (event) => {
        console.error(`policy: ${event.effectiveDirective} refused ${event.blockedURI}`);
      });
    });
    const complain = (page, text) => {
      if (isOurs(page.url()) && !expect.some((pattern) => pattern.test(text))) this.complaints.push(`${page.url()}: ${text}`);
    };
    context.on('page', (page) => {
      page.on('console', (message) => message.type() === 'error' && complain(page, message.text()));
      page.on('pageerror', (error) => complain(page, error.stack));
    });
  }

  /** Opens a page. */
  async open(url) {
    const page = await this.context.newPage();
    await page.goto(url);
    return page;
  }

  /** Does `act`, which opens a window, and answers that window. */
  async popup(page, act) {
    const [popup] = await Promise.all([page.waitForEvent('popup'), act()]);
    return popup;
  }

  /** Closes everything; fails when a page complained. */
  async leave() {
    await this.context.close();
    assert.deepEqual(this.complaints, []);
  }
}

/** Says yes at the authorization server as `account`; a browser that signed in before is asked for its consent only. */
export async function signIn(page, account) {
  const prompt = page.locator('input[name=prompt]');
  await prompt.waitFor({ state: 'attached' });
  if ((await prompt.inputValue()) === 'login') {
    await page.locator('input[name=login]').fill(account);
    await page.locator('input[name=password]').fill('any');
    await page.locator('button[type=submit]').click();
    await page.locator('input[name=prompt][value=consent]').waitFor({ state: 'attached' });
  }
  await page.locator('button[type=submit]').click();
}

/** Says no there. */
export async function refuse(page) {
  await page.locator('a[href$="/abort"]').click();
}

/** The card of an integration on the connect page, by the name that people read. */
export function card(page, name) {
  return page.getByRole('listitem', { name, exact: true });
}

/** Waits until the card says so. */
export async function status(page, name, words) {
  await card(page, name).locator('.status').filter({ hasText: words }).waitFor();
}

/** Fails when axe-core finds a serious or critical fault on the page as it is. */
export async function assertAccessible(page, what) {
  await page.evaluate(AXE);
  const { violations } = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ['violations'] }));
  const serious = violations
    .filter(({ impact }) => impact === 'serious' || impact === 'critical')
    .map(({ id, help, nodes }) => ({ id, help, where: nodes.map(({ target, failureSummary }) => [target.join(' '), failureSummary]) }));
  assert.deepEqual(serious, [], what);
}

/** Fails when the page is wider than its window. */
export async function assertFits(page, what) {
  const { wide, window } = await page.evaluate(() => ({ wide: document.documentElement.scrollWidth, window: innerWidth }));
  assert.ok(wide <= window, `${what}: ${wide} px in a window of ${window} px`);
}

/** What an address answers. */
export async function get(url, headers = {}) {
  const answer = await fetch(url, { headers });
  assert.equal(answer.status, 200, `${url}: ${answer.status}`);
  return answer.json();
}

/** Changes the settings of a peer: the authorization server or the vendors. */
export async function change(peer, settings) {
  await tell(peer, 'POST', '/_settings', settings);
}

/** Orders a fault there; see authorization-server/door.mjs and vendors/faults.mjs. */
export async function order(peer, fault) {
  await tell(peer, 'POST', '/_fault', fault);
}

/** Takes back every fault that is still waiting there. */
export async function relent(peer) {
  await tell(peer, 'DELETE', '/_fault');
}

async function tell(peer, method, path, body) {
  const answer = await fetch(peer + path, { method, body: body && JSON.stringify(body) });
  assert.equal(answer.status, 200, `${method} ${path}: ${await answer.text()}`);
}

/** Asks again and again until the answer is a good one, and answers that. */
export async function until(what, ask) {
  const deadline = Date.now() + PATIENCE;
  for (;;) {
    const answer = await ask();
    if (answer) return answer;
    assert.ok(Date.now() < deadline, `waited in vain: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/** Takes pictures into the folder that KEYFERRY_SCREENSHOTS names; without one it takes none. */
export function camera(scheme) {
  const folder = process.env.KEYFERRY_SCREENSHOTS;
  if (!folder) return async () => {};
  mkdirSync(folder, { recursive: true });
  return (page, name) => page.screenshot({ path: `${folder}/${name}-${scheme}.png`, animations: 'disabled', caret: 'hide' });
}

export const COOP = { headers: { 'cross-origin-opener-policy': 'same-origin' } };
export const NO_COOP = { headers: {} };
