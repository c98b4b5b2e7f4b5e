// Connects accounts from any front end:
//
//   import { keyferry } from "https://keys.example.com/integrations/connect.js";
//   button.onclick = async () => {
//     const connection = await keyferry.connect("hubspot", { session });
//   };
//
// `session` is a Keyferry session that the application's back end made for this person. Leave it out where the application
// itself says who is there, and in the open mode. The types and every option are in connect.d.ts beside this file.
//
// How `connect` hears of the end, each where the one before cannot reach it: a message of the callback page, from exactly
// this Keyferry and exactly the window that was opened; the page at `returnTo`, over a BroadcastChannel of its own origin;
// and asking Keyferry. A one-time code is taken only from the first two, which belong to this very attempt.

const base = new URL(".", import.meta.url);
const POLL = 1000;
const GRACE = 10_000;
const TIMEOUT = 600_000;
const ACKNOWLEDGE = 1000;
const LATE = 60_000;

// What an integration may be called, by the rule of `IntegrationName::parse` in src/model/name.rs; a test in
// asset.rs holds the two together. A name stands in paths, where `..` would lead out of Keyferry and to the application.
const NAME = /^[a-z0-9][a-z0-9_-]{0,62}$/;
const RESERVED = "sessions";

/** The query parameter that names an attempt on its way back, and how the name begins where no window waits for it. */
const ATTEMPT = "keyferry_attempt";
const REDIRECT = "redirect.";
const ATTEMPT_NAME = /^(redirect\.)?[0-9a-f]{32}$/;
/** Every status that an arrival may have: `active`, `unconfirmed`, or the code of an error. */
const STATUS = /^[a-z][a-z_]{0,39}$/;

const SENTENCES = {
  __proto__: null,
  aborted: "Connecting was cancelled.",
  authorization_denied: "Access was not granted, so nothing was connected. You can start again at any time.",
  forbidden: "This authorization was begun by somebody else; nothing was connected.",
  handed_over: "This is done. You can close this window.",
  incomplete: "The list broke off before its end. What came is good; load again for the rest.",
  popup_blocked: "The browser did not open a window. Allow popups for this page and try again.",
  popup_closed: "The window was closed before the account was connected.",
  state_mismatch: "This attempt is over or was finished elsewhere. Start again.",
  timeout: "It took too long to connect the account. Start again.",
  token_endpoint_failed: "The provider did not give access. Nothing that stood before is lost; try again.",
  unreachable: "Keyferry cannot be reached. Check the network and try again.",
};

/** Why something did not work: `code` for programs, `detail` (also `message`) for a person. */
export class KeyferryError extends Error {
  constructor(code, detail = SENTENCES[code] ?? "The account was not connected. Try again.", more = {}) {
    super(detail);
    this.name = "KeyferryError";
    this.code = code;
    this.detail = detail;
    this.status = more.status;
    this.connectUrl = more.connectUrl;
    this.integration = more.integration;
  }
}

export const keyferry = Object.freeze({ connect, returned, list, connection, disconnect, confirm, items });

// Looked at once, before anything else on the page reads the address.
const arrival = takeArrival();
// Anybody can write an address: only what this very tab began makes it ask Keyferry for anything.
const isExpected = arrival !== null && recall(arrival.attempt) === arrival.integration;
const handedOver = arrival && !arrival.attempt.startsWith(REDIRECT) ? handOver(arrival) : Promise.resolve(false);
let isArrivalFinished = false;

function connect(integration, options = {}) {
  if (!isName(integration)) return Promise.reject(misnamed());
  if (options.signal?.aborted) return Promise.reject(new KeyferryError("aborted"));
  if (options.popup === false) return leave(integration, options);
  const name = randomName();
  // The window takes a copy along, and so knows the attempt for its own should this page be gone when it comes back.
  remember(name, integration);
  // Before anything is waited for: browsers open windows only inside of the click.
  const popup = options.popup ?? window.open("about:blank", "_blank", features());
  if (popup) return attempt(integration, options, popup, name);
  recall(name);
  return Promise.reject(new KeyferryError("popup_blocked"));
}

async function attempt(integration, options, popup, name) {
  try {
    const returnTo = options.returnTo === undefined ? undefined : marked(options.returnTo, name);
    const [before, url] = await Promise.all([standing(integration, options), authorize(integration, options, returnTo)]);
    if (options.signal?.aborted) throw new KeyferryError("aborted");
    popup.location.replace(url);
    const end = await hear({ integration, options, popup, name, before });
    return await finish(integration, end, options);
  } finally {
    recall(name);
    popup.close();
  }
}

/** The redirect of the whole page. What is asked for comes back to `returned`. */
async function leave(integration, options) {
  const name = REDIRECT + randomName();
  const url = await authorize(integration, options, marked(options.returnTo ?? location.href, name));
  remember(name, integration);
  location.assign(url);
  return new Promise(() => {});
}

/** How the attempt ended: `{ status, code }`. */
function hear({ integration, options, popup, name, before }) {
  return new Promise((resolve, reject) => {
    const stop = new AbortController();
    const { signal } = stop;
    const channel = new BroadcastChannel("keyferry");
    const settle = (done, value) => {
      stop.abort();
      clearInterval(ticking);
      clearTimeout(limit);
      done(value);
      if (done === reject) channel.close();
      else release(channel, name);
    };

    window.addEventListener(
      "message",
      ({ origin, source, data }) => {
        if (origin !== base.origin || source !== popup) return;
        if (data?.type === "keyferry" && data.integration === integration) settle(resolve, data);
      },
      { signal },
    );
    channel.addEventListener(
      "message",
      ({ data }) => {
        if (data?.type !== "keyferry" || data.integration !== integration) return;
        if (data.attempt === name) {
          channel.postMessage({ type: "keyferry-heard", attempt: name });
          settle(resolve, data);
        } else if (data.attempt === undefined) {
          // Something has changed, perhaps by another window: the truth is with the server.
          look();
        }
      },
      { signal },
    );
    options.signal?.addEventListener("abort", () => settle(reject, new KeyferryError("aborted")), { signal });

    const look = async () => {
      try {
        const now = await standing(integration, { ...options, signal });
        if (isNew(before, now)) settle(resolve, { status: "active" });
      } catch (error) {
        if (!signal.aborted && (error.status === 401 || error.status === 403)) settle(reject, error);
      }
    };
    // A page with Cross-Origin-Opener-Policy on the way makes the window look closed while the person still reads it. Only
    // when the person is back here has it gone for good.
    let closedFor = 0;
    const ticking = setInterval(async () => {
      closedFor = popup.closed && document.hasFocus() ? closedFor + POLL : 0;
      await look();
      if (closedFor >= (options.grace ?? GRACE) && !signal.aborted) settle(reject, new KeyferryError("popup_closed"));
    }, POLL);
    const limit = setTimeout(() => settle(reject, new KeyferryError("timeout")), options.timeout ?? TIMEOUT);
  });
}

/**
 * Asking may be quicker than the window, which is on its way back still and may be out of this page's reach by then: it is
 * told that it can close.
 */
function release(channel, name) {
  channel.onmessage = ({ data }) => {
    if (data?.type === "keyferry" && data.attempt === name) channel.postMessage({ type: "keyferry-heard", attempt: name });
  };
  setTimeout(() => channel.close(), LATE);
}

async function finish(integration, { status, code }, options) {
  if (status === "unconfirmed" && code) return confirm(integration, code, options);
  if (status === "active") return connection(integration, options);
  throw new KeyferryError(status === "unconfirmed" ? "forbidden" : status, undefined, { integration });
}

async function returned(options = {}) {
  if (!arrival || isArrivalFinished) return null;
  if (await handedOver) throw new KeyferryError("handed_over");
  isArrivalFinished = true;
  // Whatever has been connected shows by itself.
  if (!isExpected && arrival.status === "active") return null;
  try {
    if (!isExpected) throw new KeyferryError("state_mismatch");
    return await finish(arrival.integration, arrival, options);
  } catch (error) {
    error.integration = arrival.integration;
    throw error;
  }
}

async function list(options = {}) {
  return (await ask("", options)).json();
}

async function connection(integration, options = {}) {
  return (await ask(at(integration, "connection"), options)).json();
}

async function disconnect(integration, options = {}) {
  return (await ask(at(integration, "connection"), options, { method: "DELETE" })).json();
}

async function confirm(integration, code, options = {}) {
  const form = { code };
  return (await ask(at(integration, "confirm"), options, { method: "POST", form })).json();
}

async function* items(integration, options = {}) {
  const query = new URLSearchParams();
  for (const name of ["type", "limit", "cursor"]) {
    if (options[name] !== undefined && options[name] !== "") query.set(name, options[name]);
  }
  const response = await ask(at(integration, `items?${query}`), options, { accept: "application/x-ndjson" });
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  try {
    for (;;) {
      const { value, done } = await reader.read();
      const lines = (rest + (done ? "\n" : value)).split("\n");
      rest = lines.pop();
      for (const line of lines) {
        if (line === "") continue;
        const record = JSON.parse(line);
        // Every item has an id; the last line has not.
        if (!("id" in record)) return { problems: record.problems ?? [], next: record.next ?? null };
        yield record;
      }
      if (done) throw new KeyferryError("incomplete");
    }
  } catch (error) {
    if (options.signal?.aborted) throw new KeyferryError("aborted", "Loading was cancelled.");
    throw error instanceof KeyferryError ? error : new KeyferryError("incomplete");
  } finally {
    // Whoever stops reading lets Keyferry stop loading.
    reader.cancel().catch(() => {});
  }
}

async function authorize(integration, options, returnTo) {
  const form = {};
  for (const [name, value] of Object.entries(options.variables ?? {})) form[`variables.${name}`] = value;
  for (const [name, value] of Object.entries(options.authorizationParams ?? {})) form[`authorization_params.${name}`] = value;
  if (options.scope) form.scope = Array.isArray(options.scope) ? options.scope.join(" ") : options.scope;
  if (returnTo) form.return_to = returnTo;
  const url = await (await ask(at(integration, "authorize"), options, { method: "POST", form })).json();
  if (!isOnTheWeb(url)) throw new KeyferryError("unreachable", "Keyferry answered no address to go to.");
  return url;
}

/** Where the person stands at that integration. Asked by the list, which answers 200 where there is no connection yet. */
async function standing(integration, options) {
  const [entry] = await (await ask(`?integration=${encodeURIComponent(integration)}`, options)).json();
  return entry;
}

/** Refreshes change a connection too; another authorization is what tells connecting apart. */
function isNew(before, now) {
  return now?.status === "active" && now.authorization !== before?.authorization;
}

/** The path of one of the integration's endpoints. */
function at(integration, endpoint) {
  if (!isName(integration)) throw misnamed();
  return `${integration}/${endpoint}`;
}

function isName(text) {
  return typeof text === "string" && NAME.test(text) && text !== RESERVED;
}

function misnamed() {
  return new KeyferryError("bad_request", "No integration can be called so.");
}

async function ask(path, options, { method = "GET", form, accept = "application/json" } = {}) {
  const url = new URL(path, base);
  // Beside Keyferry stands the application, and a request with a session or a cookie is not for it.
  if (!url.href.startsWith(base.href)) throw new KeyferryError("bad_request", "This is no address of Keyferry's.");
  const session = typeof options.session === "function" ? await options.session() : options.session;
  const headers = new Headers({ accept });
  if (session) headers.set("authorization", `Bearer ${session}`);
  if (options.org_id) headers.set("keyferry-org", inUtf8(options.org_id));
  if (options.user_id) headers.set("keyferry-user", inUtf8(options.user_id));
  let response;
  try {
    response = await fetch(url, {
      method,
      headers,
      body: form && new URLSearchParams(form),
      signal: options.signal,
      cache: "no-store",
      // A session says who is there; without one, the application's own cookies do, and only on its own origin.
      credentials: session ? "omit" : "same-origin",
      referrerPolicy: "no-referrer",
    });
  } catch {
    throw new KeyferryError(options.signal?.aborted ? "aborted" : "unreachable");
  }
  if (response.ok) return response;
  const problem = await response.json().catch(() => ({}));
  const detail = problem.detail ?? `Keyferry answered ${response.status}.`;
  throw new KeyferryError(problem.code ?? "unreachable", detail, { status: response.status, connectUrl: problem.connect_url });
}

/**
 * `returnTo`, which is a page of this origin, with the attempt's name. On Keyferry's own origin it goes as a path, whatever
 * name the page was opened by.
 */
function marked(returnTo, name) {
  if (!isOnTheWeb(returnTo) || new URL(returnTo, location.href).origin !== location.origin) {
    throw new KeyferryError("bad_request", "returnTo has to be a page of this page's own origin.");
  }
  const url = new URL(returnTo, location.href);
  url.searchParams.set(ATTEMPT, name);
  return url.origin === base.origin ? url.pathname + url.search + url.hash : url.href;
}

/** Whether that is an address of http or https, and nothing that would run here. */
function isOnTheWeb(address) {
  return URL.canParse(address, location.href) && /^https?:$/.test(new URL(address, location.href).protocol);
}

/** Notes in this tab that it began the attempt. Where the browser keeps nothing, it cannot come back through this tab. */
function remember(name, integration) {
  try {
    sessionStorage.setItem(`${ATTEMPT}.${name}`, integration);
  } catch {
    // Then only a waiting window hears of its end.
  }
}

/** The integration of an attempt that this tab began, which is forgotten with that; null for any other. */
function recall(name) {
  try {
    const integration = sessionStorage.getItem(`${ATTEMPT}.${name}`);
    sessionStorage.removeItem(`${ATTEMPT}.${name}`);
    return integration;
  } catch {
    return null;
  }
}

/** What this page's address brings back from an attempt. It holds a one-time code, so it does not stay there. */
function takeArrival() {
  const url = new URL(location.href);
  const [attempt, integration, status, code] = [ATTEMPT, "integration", "status", "code"].map((name) => {
    const value = url.searchParams.get(name);
    return value === null ? undefined : value;
  });
  if (!attempt || !integration || !status) return null;
  for (const name of [ATTEMPT, "integration", "status", "code"]) url.searchParams.delete(name);
  history.replaceState(history.state, "", url);
  if (!ATTEMPT_NAME.test(attempt) || !isName(integration) || !STATUS.test(status)) return null;
  return { type: "keyferry", attempt, integration, status, code };
}

/** Gives what came back to the window that waits for it and closes this one; false where none waits. */
function handOver(arrival) {
  return new Promise((resolve) => {
    const channel = new BroadcastChannel("keyferry");
    const end = (isHeard) => {
      channel.close();
      clearTimeout(limit);
      if (isHeard) window.close();
      resolve(isHeard);
    };
    channel.onmessage = ({ data }) => {
      if (data?.type === "keyferry-heard" && data.attempt === arrival.attempt) end(true);
    };
    const limit = setTimeout(() => end(false), ACKNOWLEDGE);
    channel.postMessage(arrival);
  });
}

function features() {
  const [width, height] = [540, 720];
  const left = Math.max(0, Math.round(window.screenX + (window.outerWidth - width) / 2));
  const top = Math.max(0, Math.round(window.screenY + (window.outerHeight - height) / 3));
  return `popup,width=${width},height=${height},left=${left},top=${top}`;
}

/** 128 random bits; nobody else can name this attempt. */
function randomName() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Header values are bytes, and fetch takes a byte for each character. */
function inUtf8(text) {
  return String.fromCharCode(...new TextEncoder().encode(text));
}
