// Keys of the page Review: J and K go through the texts, Enter opens the one at hand in Label Studio.
"use strict";

const items = () => [...document.querySelectorAll(".review > li")];
const current = () => items().indexOf(document.activeElement?.closest(".review > li"));

function go(step) {
  const all = items();
  const at = current();
  const next = all[at < 0 ? 0 : Math.min(all.length - 1, Math.max(0, at + step))];
  next?.focus();
  next?.scrollIntoView({ block: "nearest" });
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || /^(INPUT|TEXTAREA|SELECT)$/.test(event.target.nodeName)) return;
  if (event.key === "j" || event.key === "k") go(event.key === "j" ? 1 : -1);
  else if (event.key === "Enter" && event.target.matches(".review > li")) event.target.querySelector(".links a").click();
  else return;
  event.preventDefault();
});
