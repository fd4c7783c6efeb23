// Optional: shows times in the reader's own zone, and refreshes the page every half minute.
"use strict";

const EVERY_MS = 30000;

function localise(root) {
  for (const time of root.querySelectorAll("time[datetime]")) {
    const moment = new Date(time.dateTime);
    if (Number.isNaN(moment.getTime())) continue;
    time.title = time.title || time.textContent;
    const timeStyle = "seconds" in time.dataset ? "medium" : "short";
    const isToday = moment.toDateString() === new Date().toDateString();
    const style = "clock" in time.dataset && isToday ? { timeStyle } : { dateStyle: "medium", timeStyle };
    time.textContent = moment.toLocaleString([], style);
  }
}

async function fresh() {
  const token = document.querySelector("meta[name=xsrf]").content;
  const reply = await fetch(location.href, {
    headers: { "X-XSRFToken": token },
    mode: "same-origin",
    redirect: "error",
    cache: "no-store",
  });
  if (!reply.ok) throw new Error(String(reply.status));
  const page = new DOMParser().parseFromString(await reply.text(), "text/html");
  return page.getElementById("live");
}

async function refresh() {
  const old = document.getElementById("live");
  const isOpen = old.contains(document.activeElement) && document.activeElement.matches("input, select");
  const isTyped = [...old.querySelectorAll("input[type=search]")].some((each) => each.value !== each.defaultValue);
  if (document.hidden || isOpen || isTyped) return;
  const next = await fresh();
  if (!next) return;
  localise(next);
  const focused = old.contains(document.activeElement) ? document.activeElement.id : "";
  old.replaceWith(next);
  if (focused) document.getElementById(focused)?.focus();
}

localise(document);
if (document.querySelector("#live[data-live]")) {
  // If the hub is away or the login has ended, the page stays as it is; it shows its time and a link to reload.
  setInterval(() => refresh().catch(() => {}), EVERY_MS);
}
