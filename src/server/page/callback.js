// Tells whoever opened this window how it ended, then closes it. Messages go to exact origins only, so a page that merely
// opened the window hears nothing. Carries no token: a status, a connection id, or a one-time code.
"use strict";
const message = JSON.parse(document.body.dataset.message);
for (const origin of JSON.parse(document.body.dataset.origins)) {
  try {
    window.opener?.postMessage(message, origin);
  } catch {
    // The opener may have gone meanwhile.
  }
}
// Where a page on the way has cut the opener off, pages of this very origin hear at least that something has changed. They
// are many, and one code is one window's: it stays out.
const { code, ...news } = message;
const channel = new BroadcastChannel("keyferry");
channel.postMessage(news);
channel.close();
if (window.opener) {
  window.close();
} else {
  document.querySelector("[data-code]")?.removeAttribute("hidden");
}
