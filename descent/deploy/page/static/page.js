// The operator's page: the services on top, everything about the chosen one below.
// Asks once a second while it can be seen; nothing is asked of a hidden tab.

import { Refused, get, keepToken, takeToken } from "./api.js";
import { Detail } from "./detail.js";
import { button, cells, draw, el, number, seconds, state, table } from "./parts.js";

const $ = (id) => document.getElementById(id);
const EVERY_MS = 1000;

let chosen = null;
let detail = null;
let timer = 0;
let round = 0;
let lost = "";

function choose(name) {
  if (name === chosen) return;
  chosen = name;
  history.replaceState(null, "", `#${name}`);
  detail = new Detail($("detail"), name, { ask, say, soon });
  soon();
}

// What is shown goes by what is asked for: a second round begins when the first one ended.
function soon() {
  clearTimeout(timer);
  if (!document.hidden) timer = setTimeout(turn, 0);
}

async function turn() {
  const mine = ++round;
  try {
    const [info, { apis }] = await Promise.all([get("/info"), get("/apis")]);
    if (mine !== round) return;
    lost = "";
    node(info);
    services(apis);
    const names = apis.map((api) => api.name);
    if (!names.includes(chosen)) {
      chosen = null;
      detail = null;
      $("detail").replaceChildren();
      const wanted = decodeURIComponent(location.hash.slice(1));
      if (names.length) choose(names.includes(wanted) ? wanted : names[0]);
    } else {
      await detail.update();
    }
  } catch (error) {
    if (mine !== round) return;
    if (error instanceof Refused && (error.status === 401 || error.status === 403)) return door(error.message);
    lost = error.message;
    $("node").textContent = `${lost} – trying again`;
    document.body.classList.add("lost");
    if (!(error instanceof Refused)) console.error(error);
  }
  document.body.classList.toggle("lost", Boolean(lost));
  clearTimeout(timer);
  if (!document.hidden) timer = setTimeout(turn, EVERY_MS);
}

function node(info) {
  const state = info.ready ? "ready" : info.not_ready;
  $("node").textContent = `${info.url} · ${state} · version ${info.version} · process ${info.pid}`;
}

function services(apis) {
  $("count").textContent = apis.length ? `${apis.length} deployed` : "";
  const shown = apis.map(({ updated, url, ...api }) => ({ ...api, chosen: api.name === chosen }));
  draw($("services"), shown, () => table(
    ["Name", "Kind", "State", "Version", "Replicas", "In flight", "Queue", "Mean", "p99", "2xx", "4xx", "5xx"],
    apis.map(service),
    ["Nothing is deployed yet. Try: ", el("code", {}, "descent deploy runs/complete")],
  ));
}

function service(api) {
  const name = button(`api ${api.name}`, api.name, () => choose(api.name), "name");
  name.setAttribute("aria-current", String(api.name === chosen));
  const version = api.version === null ? "–" : api.version === api.newest ? `${api.version}` : `${api.version} of ${api.newest}`;
  const replicas = api.replicas.requested ? `${api.replicas.ready}/${api.replicas.requested}` : "–";
  const row = cells(name, api.kind, state(api.state, api.reason), version, replicas, number(api.in_flight),
    number(api.queued), seconds(api.mean_s), seconds(api.p99_s), number(api.requests["2xx"]),
    number(api.requests["4xx"]), el("td", { class: api.requests["5xx"] ? "bad" : "" }, number(api.requests["5xx"])));
  if (api.name === chosen) row.className = "chosen";
  return row;
}

// Ask first; resolves to whether the answer was yes.
function ask(what) {
  const dialog = $("ask");
  $("ask-what").textContent = what;
  dialog.returnValue = "no";
  dialog.showModal();
  return new Promise((done) => {
    dialog.addEventListener("close", () => done(dialog.returnValue === "yes"), { once: true });
  });
}

let fading = 0;

function say(text, bad = false) {
  const place = $("said");
  place.textContent = text;
  place.classList.toggle("bad", bad);
  place.hidden = false;
  clearTimeout(fading);
  fading = setTimeout(() => { place.hidden = true; }, bad ? 12000 : 5000);
}

function door(problem = "") {
  clearTimeout(timer);
  $("main").hidden = true;
  $("door").hidden = false;
  $("door-problem").hidden = !problem;
  $("door-problem").textContent = problem;
  $("token").focus();
}

function open() {
  $("door").hidden = true;
  $("main").hidden = false;
  soon();
}

$("door").addEventListener("submit", (event) => {
  event.preventDefault();
  keepToken($("token").value.trim());
  $("token").value = "";
  open();
});
document.addEventListener("visibilitychange", soon);
window.addEventListener("hashchange", () => {
  if (takeToken() && location.hash.length > 1) choose(decodeURIComponent(location.hash.slice(1)));
});

if (takeToken()) open();
else door();
