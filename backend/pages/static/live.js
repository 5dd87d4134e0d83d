// Keeps a page current: asks for it again now and then and changes what has changed in the parts
// marked data-live, in place, so that focus, open details and the place on the page stay.
"use strict";

const main = document.querySelector("main[data-every]");
const connection = document.getElementById("connection");
let tag = "";

function morph(before, after) {
  if (before.nodeType !== after.nodeType || before.nodeName !== after.nodeName || before.id !== after.id) {
    before.replaceWith(after.cloneNode(true));
    return;
  }
  if (before.nodeType !== Node.ELEMENT_NODE) {
    if (before.data !== after.data) before.data = after.data;
    return;
  }
  for (const { name, value } of after.attributes)
    if (before.getAttribute(name) !== value) before.setAttribute(name, value);
  for (const { name } of [...before.attributes])
    if (!after.hasAttribute(name) && !(name === "open" && before.nodeName === "DETAILS")) before.removeAttribute(name);
  const old = [...before.childNodes];
  const fresh = [...after.childNodes];
  fresh.forEach((child, at) => (old[at] ? morph(old[at], child) : before.append(child.cloneNode(true))));
  old.slice(fresh.length).forEach((child) => child.remove());
}

function show(page) {
  for (const part of document.querySelectorAll("[data-live]")) {
    const fresh = page.getElementById(part.id);
    if (fresh) morph(part, fresh);
  }
  const now = page.querySelector("main").dataset;
  if (now.shape !== main.dataset.shape) location.reload();
  main.dataset.every = now.every;
  document.dispatchEvent(new Event("allabel:current"));
}

async function refresh() {
  const answer = await fetch(location.href, { cache: "no-store", headers: { Accept: "text/html", "If-None-Match": tag } });
  if (answer.redirected || answer.status === 404) location.reload();
  if (answer.status === 200) {
    tag = answer.headers.get("ETag") ?? "";
    show(new DOMParser().parseFromString(await answer.text(), "text/html"));
  }
  if (answer.status >= 500) throw new Error(answer.statusText);
}

async function keepCurrent() {
  if (!document.hidden) {
    try {
      await refresh();
      connection.hidden = true;
    } catch {
      connection.hidden = false;
    }
  }
  setTimeout(keepCurrent, 1000 * Number(main.dataset.every));
}

if (main) {
  setTimeout(keepCurrent, 1000 * Number(main.dataset.every));
  document.addEventListener("visibilitychange", () => document.hidden || refresh().catch(() => {}));
}
