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
if (window.opener) {
  window.close();
} else {
  document.querySelector("[data-code]")?.removeAttribute("hidden");
}
