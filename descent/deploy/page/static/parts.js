// Small parts of a page: elements, times, numbers, and lists that are drawn only when they changed.

// el("td", {class: "right"}, "text", node…): texts become text nodes, never markup.
export function el(tag, attributes = {}, ...inside) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === false || value === null || value === undefined) continue;
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...inside.flat().filter((part) => part !== null && part !== undefined && part !== false));
  return made;
}

// Draw again only if what is shown changed; who had the focus (by data-key) has it afterwards.
export function draw(place, shown, make) {
  const now = JSON.stringify(shown);
  if (place.dataset.shown === now) return;
  place.dataset.shown = now;
  const key = place.contains(document.activeElement) ? document.activeElement.dataset.key : undefined;
  place.replaceChildren(...[make(shown)].flat().filter(Boolean));
  if (key) place.querySelector(`[data-key="${CSS.escape(key)}"]`)?.focus();
}

export function table(titles, rows, empty) {
  if (!rows.length) return el("p", { class: "empty" }, empty);
  const head = el("tr", {}, titles.map((title) => el("th", { scope: "col" }, title)));
  return el("div", { class: "scroll", tabindex: 0, role: "group", "aria-label": titles.join(", ") },
    el("table", {}, el("thead", {}, head), el("tbody", {}, rows)));
}

export const cells = (...inside) => el("tr", {}, inside.map((part) => (
  part instanceof Element && part.tagName === "TD" ? part : el("td", {}, part))));

export function state(word, reason = "") {
  const bad = /fail|dead|error|unhealthy|unknown|stalled|killed|oom|timed/i.test(word);
  const good = /^(live|ready|succeeded|completed)/i.test(word);
  const past = /^(retired|stopped|cancelled)/i.test(word);
  const kind = bad ? "bad" : good ? "good" : past ? "past" : "busy";
  return el("span", { class: `state ${kind}`, title: reason }, word);
}

export function seconds(s) {
  if (s === null || s === undefined) return "–";
  if (s === 0) return "0";
  if (s < 1e-3) return `${(s * 1e6).toFixed(0)} µs`;
  if (s < 1) return `${Number((s * 1e3).toPrecision(3))} ms`;
  return s < 120 ? `${Number(s.toPrecision(3))} s` : `${Math.round(s / 60)} min`;
}

export function number(n) {
  if (n === null || n === undefined) return "–";
  if (Number.isInteger(n)) return n.toLocaleString("en");
  return Math.abs(n) >= 100 ? Math.round(n).toLocaleString("en") : String(Number(n.toPrecision(3)));
}

export function bytes(n) {
  if (n === null || n === undefined) return "–";
  const units = ["B", "kB", "MB", "GB"];
  let i = 0;
  while (n >= 1000 && i < units.length - 1) { n /= 1000; i++; }
  return `${n < 10 && i ? n.toFixed(1) : Math.round(n)} ${units[i]}`;
}

// Unix seconds or ISO text → "14:03:12", with the date when it is another day's.
export function clock(when) {
  if (when === null || when === undefined || when === "") return "–";
  const at = typeof when === "number" ? new Date(when * 1000) : new Date(when);
  if (Number.isNaN(at.getTime())) return String(when);
  const time = at.toLocaleTimeString("en-GB");
  const today = new Date().toDateString() === at.toDateString();
  return today ? time : `${at.toLocaleDateString("en-CA")} ${time}`;
}

export const button = (key, text, act, kind = "secondary") => (
  el("button", { type: "button", class: `${kind} small`, "data-key": key, onclick: act }, text));
