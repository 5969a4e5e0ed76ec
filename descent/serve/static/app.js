// The page: text in, a streamed continuation at the cursor, and every token open to inspection.
//
// State is one suggestion: `base` (the text before the cursor that was sent) and `tokens` (what the
// model made of it so far). Whatever changes the text either eats into the suggestion or drops it.

import { complete, listModels, streamTokens } from "./api.js";
import { alternatives, chip, ends, ghost, label, percent } from "./tokens.js";
import { Conversation } from "./chat.js";

const $ = (id) => document.getElementById(id);
const text = $("text"), layer = $("layer"), chips = $("chips");

const PAUSE_MS = 120; // after the last key, before a request is made
const SAMPLES = 12;
const compact = new Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: 3 });

let models = [], model = null;
let base = "", filling = "", tokens = [], selected = -1, running = null, timer = 0, clock = null;

const names = () => model?.metadata.kind === "names";
const suggestion = () => tokens.map((token) => token.text).join("");

/** What the model continues: everything before the cursor; for names, this line of it. */
function before() {
  const all = text.value.slice(0, text.selectionStart);
  return names() ? all.slice(all.lastIndexOf("\n") + 1) : all;
}

/** What a model that fills in the middle is to fit: the text after the cursor. */
function after() {
  if (!can("infill") || !$("infill").checked) return "";
  const rest = text.value.slice(text.selectionEnd);
  return rest.trim() ? rest : "";
}

const can = (what) => model?.metadata.can?.includes(what) ?? false;
const chatting = () => !$("chat").hidden;

// ── Requests ────────────────────────────────────────────────────────────────────────────────────

function settings() {
  return {
    model: model.id,
    temperature: Number($("temperature").value),
    max_tokens: Number($("length").value),
    truncate_prompt_tokens: -1,
  };
}

function stop() {
  clearTimeout(timer);
  running?.abort();
  running = null;
}

/** Ask for a continuation of the text before the cursor and of `kept` tokens already there. */
async function request(kept = []) {
  stop();
  if (!model) return;
  const mine = (running = new AbortController());
  base = before();
  tokens = kept;
  clock = { start: performance.now(), first: null, last: null, count: 0 };
  state("busy", "Generating …");
  draw();
  try {
    const body = { ...settings(), prompt: base + suggestion(), logprobs: 10 };
    filling = after();
    if (filling) body.suffix = filling;
    let finish = null;
    for await (const token of streamTokens(body, mine.signal)) {
      if (running !== mine) return;
      clock.last = performance.now();
      clock.first ??= clock.last;
      clock.count += 1;
      tokens.push(token);
      finish = token.finish ?? finish;
      draw();
    }
    if (running !== mine) return;
    running = null;
    const ended = filling ? "Filled in" : "Ended by the model";
    state("ready", finish === "stop" ? ended : "Ready");
    $("spoken").textContent = suggestion() ? `Suggestion: ${suggestion()}` : "";
  } catch (error) {
    if (running !== mine) return; // aborted by a newer request
    running = null;
    state("bad", error instanceof TypeError ? "The server does not answer." : error.message);
  }
}

function schedule() {
  stop();
  if (!$("live").checked) return;
  timer = setTimeout(() => request(), PAUSE_MS);
}

async function samples() {
  if (!names() || !model) return;
  try {
    const prompt = before();
    const reply = await complete({ ...settings(), prompt, n: SAMPLES, logprobs: 0, max_tokens: 64 });
    const made = reply.choices.map((choice) => {
      const button = document.createElement("button");
      const chance = choice.logprobs.token_logprobs.reduce((sum, value) => sum + value, 0);
      const note = document.createElement("small");
      note.textContent = chance < -27 ? "1 in > 500B" : `1 in ${compact.format(Math.exp(-chance))}`;
      note.title = "How often the model writes exactly this, at temperature 1";
      button.type = "button";
      button.append(prompt + choice.text, note);
      button.addEventListener("click", () => { insert(choice.text); text.focus(); });
      const item = document.createElement("li");
      item.append(button);
      return item;
    });
    $("samples-list").replaceChildren(...made);
    $("samples-title").textContent = prompt ? `Names that begin with “${prompt}”` : "Names";
    $("samples").hidden = false;
  } catch (error) {
    state("bad", error.message);
  }
}

// ── Drawing ─────────────────────────────────────────────────────────────────────────────────────

function draw() {
  const at = text.selectionStart;
  const shown = tokens.some((token) => token.text);
  layer.replaceChildren(
    text.value.slice(0, at),
    ghost(tokens, selected, select),
    text.value.slice(at) + "\n", // a last line break needs something after it to take up room
  );
  layer.scrollTop = text.scrollTop;
  $("placeholder").hidden = text.value !== "" || shown;
  $("accept").disabled = !shown;
  $("nochips").hidden = tokens.length > 0;
  drawChips();
  if (selected >= tokens.length) selected = -1;
  if (selected < 0 && tokens.length) selected = 0;
  drawSelection();
  drawNumbers();
}

function drawChips() {
  // Streaming only appends: keep what stands, so that focus and hover survive.
  let same = 0;
  while (same < chips.children.length && chips.children[same].token === tokens[same]) same += 1;
  while (chips.children.length > same) chips.lastChild.remove();
  for (const token of tokens.slice(same)) {
    const item = chip(token, chips.children.length, select);
    item.token = token;
    chips.append(item);
  }
}

let inspected = null;

function drawSelection() {
  for (const item of chips.children) {
    const button = item.firstChild;
    const on = Number(button.dataset.index) === selected;
    button.classList.toggle("selected", on);
    button.tabIndex = on ? 0 : -1;
  }
  for (const span of layer.querySelectorAll(".ghost span")) {
    span.classList.toggle("selected", Number(span.dataset.index) === selected);
  }
  const token = tokens[selected];
  if (token === inspected) return;
  inspected = token;
  $("noalternatives").hidden = Boolean(token);
  $("picked").replaceChildren();
  $("alternatives").replaceChildren();
  $("why").hidden = true;
  if (!token) return;
  const sort = token.forced ? "your choice, " : "";
  $("picked").append(label(token.token), ` ${sort}${percent(token.logprob)}`);
  $("alternatives").replaceChildren(...alternatives(token, chatting() ? null : replaceSelected));
  drawWhy(token);
}

function drawWhy(token) {
  if (!model.metadata.explain || chatting() || filling) return; // the page explains plain text
  const prompt = base + tokens.slice(0, tokens.indexOf(token)).map((other) => other.text).join("");
  const query = new URLSearchParams({
    model: model.id, prompt: prompt.slice(-4000), token: token.token,
  });
  if (token.id !== null) query.set("token_id", token.id);
  $("why").href = `explain?${query}`;
  $("why").hidden = false;
}

function drawNumbers() {
  if (!clock?.first) {
    $("numbers").textContent = "";
    return;
  }
  const seconds = (clock.last - clock.first) / 1000;
  const rate = clock.count > 1 && seconds > 0 ? `${Math.round((clock.count - 1) / seconds)} tokens/s` : "";
  const parts = [`first token ${Math.round(clock.first - clock.start)} ms`, rate, `${clock.count} tokens`];
  $("numbers").textContent = parts.filter(Boolean).join("  ·  ");
}

function state(kind, message) {
  $("dot").className = `dot ${kind}`;
  $("state").textContent = message;
  document.querySelector("footer").classList.toggle("failed", kind === "bad");
}

// ── What the user does ──────────────────────────────────────────────────────────────────────────

function select(index) {
  selected = index;
  drawSelection();
}

function dismiss() {
  stop();
  tokens = [];
  selected = -1;
  if (model) state("ready", "Ready");
  draw();
}

/** Insert at the cursor as typing would, so that undo works. */
function insert(piece) {
  text.focus();
  const done = document.execCommand("insertText", false, piece);
  if (!done) {
    text.setRangeText(piece, text.selectionStart, text.selectionEnd, "end");
    text.dispatchEvent(new Event("input"));
  }
}

function accept(count = tokens.length) {
  const piece = tokens.slice(0, count).map((token) => token.text).join("");
  if (piece) insert(piece);
}

function replaceSelected(token, logprob) {
  const old = tokens[selected];
  const forced = {
    ...old, id: null, token, logprob, text: ends.has(token) ? "" : token, finish: null, forced: true,
  };
  const kept = [...tokens.slice(0, selected), forced];
  if (ends.has(token)) {
    stop();
    tokens = kept;
    state("ready", "Ended by you");
    draw();
  } else {
    request(kept);
  }
  if (document.activeElement !== text) chips.children[selected]?.firstChild.focus();
}

/** The text has changed: keep the rest of the suggestion if the user typed its beginning. */
function typed() {
  const now = before(), ahead = suggestion();
  const eaten = now.startsWith(base) ? now.slice(base.length) : null;
  if (eaten && ahead.startsWith(eaten) && ahead.length > eaten.length) {
    let left = eaten.length;
    while (left >= tokens[0].text.length) left -= tokens.shift().text.length;
    if (left) tokens[0] = { ...tokens[0], text: tokens[0].text.slice(left) };
    base = now;
    selected = 0;
    draw();
    return;
  }
  stop();
  tokens = [];
  selected = -1;
  draw();
  schedule();
}

text.addEventListener("input", (event) => { if (!event.isComposing) typed(); else draw(); });
text.addEventListener("compositionend", typed);
text.addEventListener("scroll", () => { layer.scrollTop = text.scrollTop; });

text.addEventListener("keydown", (event) => {
  const offered = tokens.some((token) => token.text);
  if (event.key === "Escape" && (offered || running)) {
    event.preventDefault();
    dismiss();
  } else if (event.key === "Tab" && !event.shiftKey && offered) {
    event.preventDefault();
    accept();
  } else if (event.key === "ArrowRight" && (event.ctrlKey || event.metaKey) && offered) {
    event.preventDefault();
    accept(tokens.findIndex((token) => token.text) + 1);
  } else if (event.key === "ArrowDown" && event.altKey && tokens.length) {
    event.preventDefault(); // Tab is taken while something is suggested: another way in
    chips.children[Math.max(0, selected)].firstChild.focus();
  }
});

// Pointing at tokens leaves the cursor where it is, so that Tab still accepts.
for (const list of [chips, $("alternatives")]) {
  list.addEventListener("pointerdown", (event) => {
    if (document.activeElement === text) event.preventDefault();
  });
  list.addEventListener("mousedown", (event) => {
    if (document.activeElement === text) event.preventDefault();
  });
  list.addEventListener("keydown", (event) => { if (event.key === "Escape") text.focus(); });
}

document.addEventListener("selectionchange", () => {
  // The cursor has been moved away from where the suggestion stands.
  if (document.activeElement === text && tokens.length && before() !== base) dismiss();
});

chips.addEventListener("keydown", (event) => {
  const step = { ArrowRight: 1, ArrowLeft: -1, Home: -Infinity, End: Infinity }[event.key];
  if (step) {
    event.preventDefault();
    const last = chips.children.length - 1;
    chips.children[Math.min(last, Math.max(0, selected + step))].firstChild.focus();
  } else if (event.key === "ArrowDown") {
    event.preventDefault();
    $("alternatives").querySelector("button:enabled")?.focus();
  }
});

$("alternatives").addEventListener("keydown", (event) => {
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (!step) return;
  event.preventDefault();
  const rows = [...$("alternatives").querySelectorAll("button:enabled")];
  const next = rows.indexOf(document.activeElement) + step;
  if (next < 0) chips.children[selected]?.firstChild.focus();
  else rows[Math.min(next, rows.length - 1)].focus();
});

$("generate").addEventListener("click", () => { request(); samples(); });
$("accept").addEventListener("click", () => accept());

for (const id of ["temperature", "length"]) {
  const show = () => {
    const value = Number($(id).value);
    $(`${id}-value`).textContent = id === "temperature" ? value.toFixed(2) : value;
  };
  $(id).addEventListener("input", () => {
    show();
    if (tokens.length || running) {
      stop();
      timer = setTimeout(() => request(), PAUSE_MS);
    }
  });
  show();
}

$("theme").addEventListener("click", () => {
  const root = document.documentElement;
  root.dataset.theme = root.dataset.theme === "dark" ? "light" : "dark";
  localStorage.setItem("theme", root.dataset.theme);
});
document.documentElement.dataset.theme = localStorage.getItem("theme")
  ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");

// ── Beginning ───────────────────────────────────────────────────────────────────────────────────

const conversation = new Conversation({
  settings: () => ({ ...settings(), max_tokens: Math.max(settings().max_tokens, 32) }),
  begin() {
    stop();
    tokens = [];
    clock = { start: performance.now(), first: null, last: null, count: 0 };
    state("busy", "Answering …");
    draw();
  },
  token(token) {
    clock.last = performance.now();
    clock.first ??= clock.last;
    clock.count += 1;
    tokens.push(token);
    draw();
  },
  end: () => state("ready", "Ready"),
  failed: (message) => state("bad", message),
});

/** Conversation or text: which of the two boxes is shown. */
function mode(chat) {
  $("chat").hidden = !chat;
  document.body.dataset.mode = chat ? "chat" : "text";
  for (const id of ["editor", "bar"]) $(id).hidden = chat;
  $("mode-chat").setAttribute("aria-pressed", chat);
  $("mode-text").setAttribute("aria-pressed", !chat);
  conversation.stop();
  dismiss();
  (chat ? $("question") : text).focus();
}

$("mode-chat").addEventListener("click", () => mode(true));
$("mode-text").addEventListener("click", () => mode(false));
$("infill").addEventListener("change", () => { if (text.value) schedule(); });

function choose(id) {
  model = models.find((other) => other.id === id);
  ends.clear();
  for (const name of model.metadata.ends ?? ["<|endoftext|>"]) ends.add(name);
  conversation.clear();
  $("modes").hidden = !can("chat");
  $("infill-row").hidden = !can("infill");
  const { metadata, max_model_len: context } = model;
  const facts = [
    models.length > 1 ? null : model.id,
    metadata.description,
    metadata.parameters ? `${metadata.parameters.toLocaleString("en")} parameters` : null,
    context ? `looks back ${context.toLocaleString("en")} tokens` : null,
  ];
  $("facts").textContent = facts.filter(Boolean).join("  ·  ");
  $("editor").classList.toggle("short", names());
  $("placeholder").textContent = names()
    ? "Type the beginning of a name, or press Generate."
    : "Type some code, or press Generate.";
  $("samples").hidden = true;
  const defaults = metadata.defaults ?? {};
  setSlider("temperature", metadata.page?.temperature ?? defaults.temperature ?? 1);
  setSlider("length", metadata.page?.max_tokens ?? (names() ? 24 : 32));
  mode(can("chat"));
  if (text.value && !chatting()) schedule();
}

function setSlider(id, value) {
  $(id).value = value;
  $(`${id}-value`).textContent = id === "temperature" ? Number($(id).value).toFixed(2) : $(id).value;
}

try {
  models = await listModels();
  $("model").replaceChildren(...models.map((other) => new Option(other.id, other.id)));
  $("model").addEventListener("change", () => choose($("model").value));
  $("picker").hidden = models.length < 2;
  choose(models[0].id);
} catch (error) {
  state("bad", error instanceof TypeError ? "The server does not answer." : error.message);
}
