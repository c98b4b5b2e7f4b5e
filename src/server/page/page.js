// The connect page: the list of integrations, kept true, and the ways to find one.

import { Card, categoryName } from "./card.js";
import { keyferry } from "./connect.js";
import { element } from "./dom.js";
import * as session from "./session.js";

const LOOK_AGAIN = 30_000;

const part = (name) => document.getElementById(`kf.${name}`);
const [tools, search, category, list, state, said, notice, person] =
  ["tools", "search", "category", "list", "state", "said", "notice", "person"].map(part);
const { application } = document.documentElement.dataset;
const cards = new Map();

const page = {
  who: session.who,
  address: session.address,
  announce(sentence) {
    said.textContent = sentence;
  },
  reload: load,
  /** Something changed here: other windows of this origin learn of it. */
  changed() {
    news.postMessage({ type: "keyferry.changed" });
    return load();
  },
};

const news = new BroadcastChannel("keyferry");
let loading = null;
let isStale = false;

/** Asks for the list, once at a time. What is told while it is on its way may not be in it: then it is asked again. */
function load() {
  if (loading) {
    isStale = true;
    return loading;
  }
  loading = look().finally(() => {
    loading = null;
    if (!isStale) return undefined;
    isStale = false;
    return load();
  });
  return loading;
}

async function look() {
  let entries;
  try {
    entries = await keyferry.list(session.who());
  } catch (error) {
    fail(error);
    return;
  }
  entries.sort((one, other) => one.display_name.localeCompare(other.display_name));
  const names = new Set(entries.map((entry) => entry.integration));
  for (const [name, card] of cards) {
    if (!names.has(name)) {
      card.root.remove();
      cards.delete(name);
    }
  }
  entries.forEach((entry, index) => {
    const card = cards.get(entry.integration);
    if (card) {
      card.update(entry);
      return;
    }
    const made = new Card(entry, page);
    cards.set(entry.integration, made);
    list.insertBefore(made.root, list.children[index] ?? null);
  });
  greet(entries);
  offerCategories(entries);
  tools.hidden = entries.length < 2;
  filter();
}

/** Says for whom accounts are connected here, so that nobody connects theirs for somebody else unawares. */
function greet(entries) {
  const named = entries.find((entry) => entry.user_id !== null);
  const isUnnamed = !named || (named.user_id === "default" && named.org_id === "default");
  person.hidden = isUnnamed;
  if (!isUnnamed) person.replaceChildren("For ", element("strong", {}, named.user_id), ` of ${named.org_id}`);
}

function offerCategories(entries) {
  const names = [...new Set(entries.map((entry) => entry.category).filter(Boolean))].sort();
  const offered = [...category.options].slice(1).map((option) => option.value);
  if (names.join() === offered.join()) return;
  const chosen = category.value;
  category.replaceChildren(category.options[0], ...names.map((name) => element("option", { value: name }, categoryName(name))));
  category.value = names.includes(chosen) ? chosen : "";
}

function filter() {
  const wanted = search.value.trim();
  let shown = 0;
  for (const card of cards.values()) {
    const matches = card.matches(wanted, category.value);
    card.root.hidden = !matches;
    shown += Number(matches);
  }
  list.setAttribute("aria-busy", "false");
  if (cards.size === 0) {
    say("Nothing to connect yet", "No integration is configured. Whoever runs this application adds one to config.toml, for example under [integrations.notion].");
  } else if (shown === 0) {
    say("Nothing matches", "No integration is called so in this category.", ["Show all", showAll]);
  } else {
    say(null);
  }
}

function showAll() {
  search.value = "";
  category.value = "";
  filter();
  search.focus();
}

function say(title, sentence, [verb, act] = []) {
  state.hidden = title === null;
  if (title === null) {
    state.replaceChildren();
    return;
  }
  const button = verb ? element("button", { type: "button", onclick: act }, verb) : null;
  state.replaceChildren(...[element("h2", {}, title), element("p", { class: "soft" }, sentence), button].filter(Boolean));
}

function fail(error) {
  list.setAttribute("aria-busy", "false");
  if (error.status === 401) {
    const wasHandedOver = session.isHandedOver();
    session.forget();
    forgetList();
    if (session.refusal) say("Nobody is signed in here", session.refusal);
    else if (application) askToLogIn();
    else say(wasHandedOver ? "Your sign-in is over" : "Nobody is signed in here", "Open it from the application, which knows who you are.");
    state.append(element("details", {}, element("summary", {}, "For developers"), element("p", {}, error.detail)));
    return;
  }
  // What is on the screen stays: it was true a moment ago.
  if (cards.size > 0) notify(error.detail ?? "The list could not be renewed.");
  else say("The list could not be loaded", error.detail ?? "Something went wrong on this page.", ["Try again", load]);
}

/** The application's own login says who is there, and there it is made good. */
function askToLogIn() {
  say("Nobody is logged in", "Log in to the application, then come back to this page.");
  state.append(element("a", { href: application }, "To the application"));
}

function forgetList() {
  for (const card of cards.values()) card.root.remove();
  cards.clear();
  tools.hidden = true;
  person.hidden = true;
}

function notify(sentence) {
  const close = element("button", { type: "button", class: "quiet", onclick: () => notice.replaceChildren() }, "Close");
  notice.replaceChildren(element("div", { class: "notice bad" }, element("p", {}, sentence), close));
}

function point() {
  const card = cards.get(session.pointedAt);
  if (card?.root.hidden) showAll();
  card?.point();
}

/** What the address brought back: the end of an attempt that went through this very window, or through a popup. */
async function receive() {
  try {
    return { connection: await keyferry.returned(session.who()) };
  } catch (error) {
    return { error };
  }
}

function tell({ connection, error }) {
  if (connection) cards.get(connection.integration)?.welcome(connection);
  else if (error && cards.has(error.integration)) cards.get(error.integration).fail(error);
  else if (error) notify(error.detail);
}

async function begin() {
  await session.compare(keyferry.list);
  const received = await receive();
  if (received.error?.code === "handed_over") {
    say("Done", "You can close this window.");
    return;
  }
  // Other windows and the callback of this origin tell; for all else, it is asked again now and then.
  news.addEventListener("message", load);
  await load();
  // Where the list is there, somebody else is spoken for than the address said.
  if (session.refusal && cards.size > 0) notify(session.refusal);
  tell(received);
  point();
  search.addEventListener("input", filter);
  category.addEventListener("change", filter);
  window.addEventListener("hashchange", point);
  document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && load());
  setInterval(() => document.visibilityState === "visible" && load(), LOOK_AGAIN);
}

begin();
