// Who this page speaks for: the application's own login, whom the address names in the open mode, or a session that the
// application handed over behind the `#`, which no server sees.

const KEPT = "keyferry-session";
const REFUSAL =
  "This page was not opened from the application, so the sign-in in its address was not used. Go back to the application and open it from there.";
const NEEDLESS =
  "The application is at this page's own address and needs no sign-in in a link, so the one in this link was not used.";
const ANOTHER =
  "You are logged in to the application, and the sign-in that this page was opened with is another person's. It was not used.";
const parameters = new URLSearchParams(location.search);

/** The integration that the address points at, as in `#hubspot`. */
export let pointedAt = null;

/** Why a session in the address was not taken, as a sentence; null where that did not happen. */
export let refusal = null;

/** What every request says about the person. */
export function who() {
  const named = { session: read() };
  for (const name of ["org_id", "user_id"]) {
    if (parameters.get(name)) named[name] = parameters.get(name);
  }
  return named;
}

/** This page's address, with an integration to point at; never with a session. */
export function address(integration) {
  return `${location.pathname}${location.search}#${integration}`;
}

/** Forgets a session that is over. */
export function forget() {
  write(null);
}

/**
 * Drops a session that speaks for another person than the application's own login does: whoever is logged in would connect
 * their accounts for somebody else. `list` asks Keyferry.
 */
export async function compare(list) {
  if (!("login" in document.documentElement.dataset) || !isHandedOver()) return;
  let own;
  try {
    own = personOf(await list({}));
  } catch (error) {
    // Nobody is logged in. With any other answer somebody may be.
    if (error.status !== 401) forget();
    return;
  }
  const theirs = await list({ session: read() }).then(personOf, () => null);
  if (theirs === own) return;
  forget();
  // A session that is over is nobody's any more.
  if (theirs !== null) refusal = ANOTHER;
}

function personOf(entries) {
  const named = entries.find((entry) => entry.user_id !== null);
  return named ? JSON.stringify([named.org_id, named.user_id]) : null;
}

/** Whether there is a session to forget. */
export function isHandedOver() {
  return read() !== undefined;
}

// Somebody else's link could carry somebody else's session, and what is connected here would be theirs. So it counts only
// when the person comes from a page of an allowed origin, which the browser tells and no other page can claim; and never on
// a page that is open already, which every window that holds it could point elsewhere. Our own origin is none of them unless
// it is listed: an application there has its login, and the links on its pages may be anybody's.
function take(isNew) {
  const fragment = new URLSearchParams(location.hash.slice(1));
  const session = fragment.get("session");
  pointedAt = [...fragment].find(([name, value]) => value === "" && name !== "session")?.[0] ?? null;
  if (session === null) return;
  history.replaceState(history.state, "", location.pathname + location.search + (pointedAt ? `#${pointedAt}` : ""));
  const origins = JSON.parse(document.documentElement.dataset.origins);
  const from = URL.canParse(document.referrer) ? new URL(document.referrer).origin : null;
  if (isNew && origins.includes(from)) write(session);
  else if (isNew) refusal = from === location.origin ? NEEDLESS : REFUSAL;
}

// Where the browser keeps nothing, the session lasts as long as the page.
let unkept;

function read() {
  try {
    return sessionStorage.getItem(KEPT) ?? unkept;
  } catch {
    return unkept;
  }
}

function write(session) {
  unkept = session ?? undefined;
  try {
    if (session === null) sessionStorage.removeItem(KEPT);
    else sessionStorage.setItem(KEPT, session);
  } catch {
    // Kept in `unkept`.
  }
}

take(true);
window.addEventListener("hashchange", () => take(false));
