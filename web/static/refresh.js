// Fetches what is inside <main> once a second, while the page is seen.
"use strict";

const main = document.querySelector("main");
const stale = document.getElementById("stale");
let shown = main.innerHTML;

async function refresh() {
  if (!document.hidden) {
    try {
      const answer = await fetch(location.pathname + "?part=1", { signal: AbortSignal.timeout(5000) });
      if (answer.status === 200 || answer.status === 503) {
        const text = await answer.text();
        if (text !== shown && !main.contains(document.activeElement)) {
          main.innerHTML = text;
          shown = text;
        }
        stale.hidden = true;
      } else {
        stale.hidden = false;
      }
    } catch {
      stale.hidden = false;
    }
  }
  setTimeout(refresh, 1000);
}

setTimeout(refresh, 1000);
