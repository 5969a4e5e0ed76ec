// The page of one API: a form of what it takes, its answer, and lines to call it with.

import { element, field, fileField, json, Problem } from "./fields.js";
import { blob, coloured, failure, Stream, value } from "./show.js";

const $ = (id) => document.getElementById(id);
const base = new URL("./", location.href); // …/sorter/
const JSON_TYPE = "application/json";
const JOBS = ["AsyncAPI", "BatchAPI", "TaskAPI"];

let about; // the signature
let here; // the part of it that is asked: the API's own, or one of its endpoints
let form;
let running = null;

async function start() {
  const key = new URLSearchParams(location.hash.slice(1)).get("key") ?? "";
  const headers = key ? { authorization: `Bearer ${key}` } : {};
  const response = await fetch(new URL("-/about.json", base), { headers });
  if (!response.ok) {
    const hint = response.status === 401 ? " Open this page with #key=YOUR_KEY at its end." : "";
    throw new Error(`${(await response.json()).error.message}.${hint}`);
  }
  about = await response.json();
  document.title = about.name;
  $("name").textContent = about.name;
  $("kind").textContent = about.kind;
  $("summary").textContent = about.summary || "";
  document.querySelector("nav").hidden = about.keys; // a link cannot send one
  $("key-label").hidden = !about.keys;
  $("key").value = key;
  $("run").textContent = JOBS.includes(about.kind) ? "Submit" : "Run";
  paths();
  choose(0);
  $("form").addEventListener("submit", (event) => { event.preventDefault(); run(); });
  $("stop").addEventListener("click", () => running?.abort());
  $("mode-form").addEventListener("click", () => mode(false));
  $("mode-json").addEventListener("click", () => mode(true));
  $("path").addEventListener("change", () => choose(Number($("path").value)));
  $("examples").addEventListener("change", () => fill(here.examples[Number($("examples").value)]));
  document.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) run();
  });
  for (const button of document.querySelectorAll(".copy")) {
    button.addEventListener("click", () => copy(button));
  }
}

async function copy(button) {
  await navigator.clipboard.writeText($(button.dataset.copies).textContent);
  button.textContent = "Copied";
  setTimeout(() => { button.textContent = "Copy"; }, 1200);
}

function endpoints() {
  return [{ ...about, path: "", methods: ["POST"] }, ...(about.endpoints ?? [])];
}

function paths() {
  const all = endpoints();
  $("path-label").hidden = all.length < 2;
  all.forEach((each, i) => {
    $("path").append(element("option", { value: String(i) }, about.endpoint + each.path));
  });
}

function choose(index) {
  here = endpoints()[index];
  const several = here.examples?.length > 1;
  $("examples-label").hidden = !several;
  $("examples").replaceChildren(...(several ? here.examples : []).map((each, i) => {
    const text = JSON.stringify(each);
    return element("option", { value: String(i) }, text.length > 40 ? `${text.slice(0, 39)}…` : text);
  }));
  $("input-schema").replaceChildren(coloured(schemaOf()));
  $("output-schema").replaceChildren(coloured(here.output ?? {}));
  fill(here.examples?.[0]);
}

/** What is submitted: the service's own input, or a job over it. */
function schemaOf() {
  const takes = here.input ?? {};
  if (about.kind === "TaskAPI") {
    return { type: "object", properties: { config: { description: "handed to the task" } }, required: ["config"] };
  }
  if (about.kind !== "BatchAPI") return takes;
  return {
    type: "object",
    properties: {
      items: { description: "what there is to do, a list" },
      batch_size: { type: "integer", minimum: 1, default: 1 },
      workers: { type: "integer", minimum: 1, default: 1 },
    },
    required: ["items"],
  };
}

function fill(example) {
  const media = here.input_type ?? JSON_TYPE;
  const bytes = media !== JSON_TYPE;
  const nothing = here.methods[0] === "GET";
  $("modes").hidden = bytes || nothing;
  let given = example;
  if (given === undefined && !bytes && !Object.keys(here.input ?? {}).length) given = {};
  if (about.kind === "BatchAPI") given = { items: Array.isArray(given) ? given : [given ?? {}] };
  if (about.kind === "TaskAPI") given = { config: {} };
  if (nothing) form = { node: element("p", { className: "empty" }, "It takes nothing."), read: () => undefined, mark: () => true };
  else if (bytes) form = fileField(media);
  else form = field(schemaOf(), schemaOf(), given, "", true);
  $("fields").replaceChildren(form.node);
  $("raw").value = given === undefined ? "" : json(given);
  mode(false);
  lines();
  $("fields").oninput = lines;
  $("raw").oninput = lines;
}

function mode(raw) {
  if (raw === $("raw").hidden) { // carry over what was written
    try {
      if (raw) $("raw").value = json(form.read());
      else {
        form = field(schemaOf(), schemaOf(), JSON.parse($("raw").value), "", true);
        $("fields").replaceChildren(form.node);
      }
    } catch (error) {
      if (!raw) return problem(error.message);
    }
  }
  $("raw").hidden = !raw;
  $("fields").hidden = raw;
  $("mode-form").setAttribute("aria-pressed", String(!raw));
  $("mode-json").setAttribute("aria-pressed", String(raw));
  return problem("");
}

function problem(message) {
  $("problem").textContent = message;
  $("problem").hidden = !message;
}

function input() {
  if ($("raw").hidden) return form.read();
  try {
    return JSON.parse($("raw").value);
  } catch (error) {
    throw new Problem(`The input isn't JSON: ${error.message}`);
  }
}

/** The body that is posted. */
function body(given) {
  if (about.kind === "BatchAPI") {
    const { items, batch_size = 1, workers = 1 } = given;
    return { workers, item_list: { items, batch_size } };
  }
  return given;
}

const quoted = (text) => `'${text.replaceAll("'", `'\\''`)}'`;

/** Python's words for JSON's. */
function pythonic(given) {
  if (given === null || given === undefined) return "None";
  if (given === true) return "True";
  if (given === false) return "False";
  if (Array.isArray(given)) return `[${given.map(pythonic).join(", ")}]`;
  if (typeof given !== "object") return JSON.stringify(given);
  const rows = Object.entries(given).map(([key, each]) => `${JSON.stringify(key)}: ${pythonic(each)}`);
  return `{${rows.join(", ")}}`;
}

/** The lines to copy say what stands in the form. */
function lines() {
  const url = base.origin + about.endpoint + here.path;
  if ((here.input_type ?? JSON_TYPE) !== JSON_TYPE || here.methods[0] === "GET") {
    const changed = (line) => line.replace(base.origin + about.endpoint, url);
    $("curl").textContent = here.path ? `curl ${url}` : about.curl;
    $("python").textContent = here.path ? `httpx.get("${url}")` : changed(about.python);
    return;
  }
  let given;
  try {
    given = body(input());
  } catch {
    return; // half written
  }
  const key = about.keys ? " -H 'Authorization: Bearer YOUR_KEY'" : "";
  const stream = here.stream ? "-N " : "";
  $("curl").textContent = `curl ${stream}${url}${key} -H 'Content-Type: application/json' -d ${quoted(JSON.stringify(given))}`;
  const list = here.stream ? `, headers={"Accept": "application/json"}` : "";
  $("python").textContent = `httpx.post("${url}", json=${pythonic(given)}${list}).json()`;
}

async function ask(path, options = {}) {
  const headers = { ...options.headers };
  if ($("key").value) headers.authorization = `Bearer ${$("key").value}`;
  const url = base.origin + about.endpoint + path;
  return fetch(url, { ...options, headers, signal: running.signal });
}

async function run() {
  if (running) return;
  problem("");
  form.mark([], "");
  let given;
  try {
    given = body(input());
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    problem(error.message);
    return;
  }
  running = new AbortController();
  busy(true);
  const began = performance.now();
  try {
    const response = await send(given);
    if (!response.ok) await refused(response);
    else if (JOBS.includes(about.kind)) await follow(await response.json());
    else await show(response, began);
    took(performance.now() - began, response.status);
  } catch (error) {
    const stopped = error.name === "AbortError";
    $("state").textContent = stopped ? "stopped" : "";
    if (!stopped) $("result").replaceChildren(failure("No answer:", { message: error.message }));
  } finally {
    running = null;
    busy(false);
  }
}

function send(given) {
  const method = here.methods[0];
  if (given === undefined) return ask(here.path, { method });
  const bytes = given instanceof Blob;
  const media = bytes ? given.type || "application/octet-stream" : JSON_TYPE;
  const accept = here.stream ? "text/event-stream" : "*/*";
  const headers = { "content-type": media, accept };
  return ask(here.path, { method, body: bytes ? given : JSON.stringify(given), headers });
}

function busy(is) {
  $("run").disabled = is;
  $("stop").hidden = !is;
  document.body.classList.toggle("busy", is);
  if (is) $("state").textContent = "running …";
}

async function refused(response) {
  let error = { message: response.statusText || "refused" };
  try {
    error = (await response.json()).error ?? error;
  } catch {
    // not ours: the status has to do
  }
  const wait = response.headers.get("retry-after");
  if (wait) error = { ...error, message: `${error.message} (again in ${wait} s)` };
  $("result").replaceChildren(failure(response.status, error));
  if (error.field && error.field !== "body") {
    const path = error.field.replace(/^item_list\./, "").split(/[.[\]]+/).filter(Boolean);
    form.mark(path, error.message.replace(`${error.field}: `, ""));
  }
}

async function show(response, began) {
  const media = (response.headers.get("content-type") ?? "").split(";")[0];
  if (media === "text/event-stream") return streamed(response, began);
  if (media === JSON_TYPE || media.endsWith("+json")) {
    $("result").replaceChildren(value(await response.json()));
  } else if (media.startsWith("text/")) {
    $("result").replaceChildren(element("pre", {}, await response.text()));
  } else {
    $("result").replaceChildren(blob(await response.blob(), media));
  }
  return undefined;
}

async function streamed(response, began) {
  const stream = new Stream();
  $("result").replaceChildren(stream.node);
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  let first = 0;
  for (;;) {
    const { done, value: text } = await reader.read();
    if (done) break;
    const frames = (rest + text).split("\n\n");
    rest = frames.pop();
    for (const frame of frames) {
      const data = frame.split("\n").filter((line) => line.startsWith("data: "));
      if (!data.length) continue;
      const item = JSON.parse(data.map((line) => line.slice(6)).join("\n"));
      first ||= performance.now() - began;
      if (frame.startsWith("event: error")) stream.node.append(failure("Ended:", item.error));
      else stream.add(item);
    }
    $("state").textContent = `${stream.count} items, the first after ${first.toFixed(0)} ms`;
  }
}

/** An accepted request or job, until it has ended. */
async function follow(accepted) {
  const job = about.kind !== "AsyncAPI";
  const path = job ? `?jobID=${accepted.job_id}&wait=1` : `/${accepted.id}?wait=1`;
  for (;;) {
    const response = await ask(path);
    if (!response.ok) return refused(response);
    const read = await response.json();
    const status = job ? read.job_status : read;
    $("state").textContent = `${status.status} · ${status.job_id ?? status.id}`;
    $("result").replaceChildren(value(job ? { ...status, metrics: read.metrics } : status));
    const over = job
      ? !["pending", "enqueuing", "running"].includes(status.status)
      : ["completed", "failed", "cancelled"].includes(status.status);
    if (over) return about.kind === "BatchAPI" ? results(accepted.job_id) : undefined;
  }
}

async function results(id) {
  const response = await ask(`/results?jobID=${id}`);
  if (!response.ok) return;
  const rows = (await response.text()).split("\n").filter(Boolean).slice(0, 200);
  $("result").append(element("h3", {}, "Results"), coloured(rows.map((row) => JSON.parse(row))));
}

function took(ms, status) {
  const text = ms < 10 ? ms.toFixed(1) : ms.toFixed(0);
  const said = $("state").textContent;
  $("state").textContent = said === "running …" ? `${status} in ${text} ms` : said;
  $("runs").prepend(element("li", { className: status < 400 ? "good" : "bad" }, `${text} ms`));
  while ($("runs").childElementCount > 8) $("runs").lastChild.remove();
}

start().catch((error) => problem(`This page could not begin: ${error.message}`));
