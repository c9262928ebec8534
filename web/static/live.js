// Fetches what is inside <main> once a second while the page is visible, and changes only what differs: nothing
// flickers, and the focus, the selection and opened parts stay. Without this script the page is complete and reloads.
"use strict";

(() => {
  const main = document.getElementById("main");
  const pulse = document.getElementById("pulse");
  const say = pulse.firstElementChild;
  let timer = 0;
  let failures = 0;

  function state(kind, text) {
    pulse.className = kind;
    if (say.textContent !== text) say.textContent = text;
  }

  function same(one, other) {
    return one.nodeType === other.nodeType && one.nodeName === other.nodeName && (one.id || "") === (other.id || "");
  }

  function dress(element, fresh) {
    for (const { name, value } of fresh.attributes) {
      if (element.getAttribute(name) !== value) element.setAttribute(name, value);
    }
    for (const { name } of [...element.attributes]) {
      // What a person opened stays open.
      if (!fresh.hasAttribute(name) && name !== "open") element.removeAttribute(name);
    }
  }

  // Rows have ids: one that moved is moved, not rewritten.
  function morph(parent, fresh) {
    const known = new Map();
    for (const child of parent.children) if (child.id) known.set(child.id, child);
    let at = parent.firstChild;
    for (const wanted of [...fresh.childNodes]) {
      const moved = wanted.id ? known.get(wanted.id) : null;
      if (moved && moved !== at && moved.nodeName === wanted.nodeName) {
        parent.insertBefore(moved, at);
        at = moved;
      }
      if (at && same(at, wanted)) {
        if (at.nodeType === Node.ELEMENT_NODE) {
          if (!at.hasAttribute("data-keep")) {
            dress(at, wanted);
            morph(at, wanted);
          }
        } else if (at.nodeValue !== wanted.nodeValue) {
          at.nodeValue = wanted.nodeValue;
        }
        at = at.nextSibling;
      } else {
        parent.insertBefore(wanted, at);
      }
    }
    while (at) {
      const next = at.nextSibling;
      at.remove();
      at = next;
    }
  }

  function address() {
    const url = new URL(location.href);
    url.searchParams.set("part", "1");
    url.hash = "";
    return url;
  }

  async function refresh() {
    clearTimeout(timer);
    if (document.hidden) return;
    try {
      const answer = await fetch(address(), { signal: AbortSignal.timeout(5000), credentials: "same-origin" });
      if (answer.status === 200 || answer.status === 503) {
        const text = await answer.text();
        const fresh = document.createElement("template");
        fresh.innerHTML = text;
        morph(main, fresh.content);
        failures = 0;
        if (answer.status === 200) state("ok", "live");
        else state("bad", main.querySelector("h1")?.textContent || "Redis is away");
        document.dispatchEvent(new CustomEvent("refreshed", { detail: answer.status === 200 }));
      } else if (answer.status === 404) {
        state("still", "this no longer exists");
      } else {
        state("bad", answer.status === 401 ? "the dashboard needs its token: open /?token=..." : `answer ${answer.status}`);
      }
    } catch {
      failures += 1;
      if (failures > 1) state("bad", "no answer from the dashboard; trying again");
    }
    timer = setTimeout(refresh, 1000);
  }

  document.addEventListener("visibilitychange", () => {
    if (document.hidden) {
      clearTimeout(timer);
      state("still", "paused");
    } else {
      refresh();
    }
  });
  timer = setTimeout(refresh, 1000);
})();
