// Results made visible: JSON with colours, shares as bars, pictures, sounds, text, files.

import { element, json } from "./fields.js";

const SHOWN = 200_000; // characters of JSON that are drawn

/** JSON as nodes: keys, texts, numbers and words in their colours. */
export function coloured(value) {
  let text = json(value ?? null);
  const cut = text.length > SHOWN;
  if (cut) text = text.slice(0, SHOWN);
  const pre = element("pre", { className: "json", tabIndex: 0 });
  const token = /("(?:[^"\\]|\\.)*")(\s*:)?|\b(?:true|false|null)\b|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g;
  let end = 0;
  for (const found of text.matchAll(token)) {
    pre.append(text.slice(end, found.index));
    const kind = found[2] ? "key" : found[1] ? "text" : /[a-z]/.test(found[0][0]) ? "word" : "number";
    pre.append(element("span", { className: kind }, found[1] ?? found[0]));
    if (found[2]) pre.append(found[2]);
    end = found.index + found[0].length;
  }
  pre.append(text.slice(end));
  if (cut) pre.append("\n… (the rest is not drawn)");
  return pre;
}

/** Names with shares between 0 and 1, as {"cat": 0.9, "dog": 0.1}. */
function shares(value) {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return null;
  const rows = Object.entries(value);
  const fit = rows.length > 1 && rows.length <= 30
    && rows.every(([, share]) => typeof share === "number" && share >= 0 && share <= 1);
  return fit ? rows.sort((a, b) => b[1] - a[1]) : null;
}

function bars(rows) {
  const list = element("ol", { className: "bars" });
  for (const [name, share] of rows) {
    const bar = element("span", { className: "bar" });
    bar.style.width = `${100 * share}%`;
    list.append(element("li", {},
      element("span", { className: "name" }, name),
      element("span", { className: "track" }, bar),
      element("span", { className: "share" }, share.toFixed(3))));
  }
  return list;
}

/** A JSON value. */
export function value(found) {
  if (typeof found === "string") return element("p", { className: "said" }, found);
  const rows = shares(found);
  return rows ? element("div", {}, bars(rows), coloured(found)) : coloured(found);
}

/** A body that is not JSON. */
export function blob(data, media) {
  const url = URL.createObjectURL(data);
  if (media.startsWith("image/")) {
    return element("img", { src: url, className: "picture", alt: "The result" });
  }
  if (media.startsWith("audio/")) return element("audio", { src: url, controls: true });
  const size = `${data.size.toLocaleString()} bytes`;
  return element("p", {}, element("a", { href: url, download: "answer" }, `Save ${size}`), ` of ${media}`);
}

/** What went wrong, as the API said it. */
export function failure(status, error) {
  const made = element("div", { className: "failure" });
  made.append(element("p", {}, element("strong", {}, `${status} ${error.code ?? ""}`), ` ${error.message}`));
  if (error.request_id) made.append(element("p", { className: "quiet" }, `request ${error.request_id}`));
  return made;
}

/** A place where the items of a stream arrive. */
export class Stream {
  constructor() {
    this.node = element("div", { className: "stream" });
    this.count = 0;
    this.text = null;
  }

  add(item) {
    this.count += 1;
    const said = typeof item === "string" ? item : null;
    if (said !== null) { // texts run on, as a model's tokens do
      this.text ??= this.node.appendChild(element("p", { className: "said" }));
      this.text.append(said);
      return;
    }
    this.text = null;
    this.node.append(element("code", { className: "item" }, JSON.stringify(item)));
    if (this.node.childElementCount > 500) this.node.firstChild.remove();
  }
}
