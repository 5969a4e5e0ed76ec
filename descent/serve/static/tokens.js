// How tokens are drawn: as chips, as ghost text in the editor, and with their alternatives as bars.

/** Names of the tokens that end a text; the model at hand says which. */
export const ends = new Set(["<|endoftext|>"]);
const SPECIAL = /^<\|.*\|>$/;

export const percent = (logprob) => {
  const p = 100 * Math.exp(logprob);
  return p >= 99.95 ? "100 %" : p >= 10 ? `${p.toFixed(1)} %` : p >= 0.01 ? `${p.toFixed(2)} %` : "< 0.01 %";
};

export const insertable = (token) => !SPECIAL.test(token) && !token.startsWith("bytes:");

/** A token with its invisible characters made visible. */
export function label(token) {
  const span = document.createElement("span");
  span.className = "token";
  if (ends.has(token)) return mark(span, "end");
  if (SPECIAL.test(token)) return mark(span, token.slice(2, -2));
  if (token.startsWith("bytes:")) return mark(span, token.slice(6));
  for (const part of token.match(/ +|\n+|\t+|\r+|[^ \n\t\r]+/g) ?? []) {
    const sign = { " ": "␣", "\n": "⏎", "\t": "⇥", "\r": "␍" }[part[0]];
    if (!sign) span.append(part);
    else if (part.length <= 3) mark(span, sign.repeat(part.length));
    else mark(span, `${sign}×${part.length}`);
  }
  return span;
}

function mark(parent, text) {
  const span = document.createElement("span");
  span.className = "mark";
  span.textContent = text;
  parent.append(span);
  return parent;
}

export function spoken(token) {
  if (ends.has(token)) return "end of text";
  return token.replaceAll(" ", " space ").replaceAll("\n", " line break ").trim() || "empty";
}

function dress(element, token, selected) {
  element.style.setProperty("--p", Math.exp(token.logprob ?? 0));
  element.classList.toggle("selected", selected);
}

/** Inline suggestion: the text at the cursor, one span per token. */
export function ghost(tokens, selected, onPick) {
  const whole = document.createElement("span");
  whole.className = "ghost";
  tokens.forEach((token, index) => {
    if (!token.text) return;
    const span = document.createElement("span");
    span.textContent = token.text;
    span.dataset.index = index;
    dress(span, token, index === selected);
    span.addEventListener("pointerenter", () => onPick(index));
    span.addEventListener("pointerdown", (event) => { event.preventDefault(); onPick(index); });
    whole.append(span);
  });
  return whole;
}

/** One chip; focus and pointer both select it. */
export function chip(token, index, onPick) {
  const item = document.createElement("li");
  const button = document.createElement("button");
  button.type = "button";
  button.className = "chip";
  button.classList.toggle("forced", Boolean(token.forced));
  button.dataset.index = index;
  button.tabIndex = index === 0 ? 0 : -1;
  button.append(label(token.token));
  button.title = percent(token.logprob);
  button.setAttribute("aria-label", `${spoken(token.token)}, ${percent(token.logprob)}`);
  dress(button, token, false);
  for (const name of ["pointerenter", "focus", "click"]) {
    button.addEventListener(name, () => onPick(index));
  }
  item.append(button);
  return item;
}

/** The distribution at one token: bars, likeliest first, and what is left over. Without `onReplace`
 *  they are only shown. */
export function alternatives(token, onReplace) {
  const items = token.top.map(([text, logprob]) => {
    const chosen = text === token.token;
    const button = row(label(text), logprob, chosen);
    button.disabled = !chosen && (!onReplace || (!insertable(text) && !ends.has(text)));
    button.setAttribute(
      "aria-label",
      `${spoken(text)}, ${percent(logprob)}${chosen ? ", chosen" : ", continue from here instead"}`,
    );
    button.title = !onReplace ? "" : button.disabled ? "Part of a character: cannot stand alone"
      : chosen ? "What the model chose" : "Continue from here with this instead";
    button.addEventListener("click", () => { if (!chosen && onReplace) onReplace(text, logprob); });
    return listed(button);
  });
  const rest = 1 - token.top.reduce((sum, [, logprob]) => sum + Math.exp(logprob), 0);
  if (rest > 0.0005) {
    const name = document.createElement("span");
    name.className = "token";
    name.textContent = "everything else";
    const button = row(name, Math.log(rest), false);
    button.classList.add("rest");
    button.disabled = true;
    items.push(listed(button));
  }
  return items;
}

function row(name, logprob, chosen) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "alternative";
  button.classList.toggle("chosen", chosen);
  button.style.setProperty("--p", Math.exp(logprob));
  const value = document.createElement("span");
  value.className = "percent";
  value.textContent = percent(logprob);
  button.append(name, value, document.createElement("i"));
  return button;
}

function listed(element) {
  const item = document.createElement("li");
  item.append(element);
  return item;
}
