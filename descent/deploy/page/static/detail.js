// Everything about one service: plots, replicas, versions, traffic, decisions, errors, log.

import { change, get, lines } from "./api.js";
import { button, bytes, cells, clock, draw, el, number, seconds, state, table } from "./parts.js";
import { plot } from "./plots.js";
import { Work } from "./work.js";

const SPAN_S = 300;
const LOG_LINES = 200;

export class Detail {
  constructor(place, name, page) {
    this.name = name;
    this.path = `/apis/${encodeURIComponent(name)}`;
    this.page = page;
    this.places = {};
    place.replaceChildren(this.frame());
  }

  frame() {
    const part = (key, title, wide = false) => {
      this.places[key] = el("div", {});
      const head = el("div", { class: "head" }, el("h2", {}, title));
      return el("section", { class: wide ? "card wide" : "card", "aria-label": title, id: `part-${key}` },
        head, this.places[key]);
    };
    this.places.plots = el("div", { class: "plots" }, el("div", {}), el("div", {}), el("div", {}));
    const load = el("section", { class: "card wide", "aria-label": "Load", id: "part-load" }, this.places.plots);
    this.sections = {
      about: part("about", this.name, true), load,
      traffic: part("traffic", "Traffic", true), jobs: part("jobs", "Jobs", true), dead: part("dead", "Dead letters", true),
      versions: part("versions", "Versions", true), replicas: part("replicas", "Replicas", true),
      decisions: part("decisions", "Scaling: what was decided, and why", true),
      errors: part("errors", "Errors", true), log: part("log", "Log", true),
    };
    return el("div", { class: "parts" }, Object.values(this.sections));
  }

  async update() {
    const [api, { series }, { errors }, { decisions }] = await Promise.all([
      get(this.path), get(`${this.path}/series?seconds=${SPAN_S}`), get(`${this.path}/errors`),
      get(`${this.path}/decisions`),
    ]);
    const log = await lines(this.name, LOG_LINES, api.version === null ? "" : `&version=${api.version}`);
    this.about(api);
    this.load(series);
    this.versions(api);
    this.show("replicas", api.replica_list.length > 0);
    draw(this.places.replicas, api.replica_list, replicas);
    this.show("decisions", decisions.length > 0);
    draw(this.places.decisions, decisions, decided);
    this.show("errors", true);
    draw(this.places.errors, errors.slice(0, 50), (found) => this.errors(found));
    this.log(log);
    this.show("traffic", api.kind === "TrafficSplitter");
    if (api.kind === "TrafficSplitter") this.traffic(api);
    const jobs = /^(Async|Batch|Task)API$/.test(api.kind);
    this.show("jobs", jobs);
    this.show("dead", false);
    if (jobs) {
      this.work ??= new Work(this, api);
      await this.work.update();
    }
  }

  show(key, whether) {
    this.sections[key].hidden = !whether;
  }

  // Do something that changes the node; say how it went.
  async act(question, done, work) {
    if (question && !(await this.page.ask(question))) return;
    try {
      await work();
      this.page.say(done);
    } catch (error) {
      this.page.say(error.message, true);
    }
    this.page.soon();
  }

  about(api) {
    const shown = { state: api.state, reason: api.reason, version: api.version, url: api.url, curl: api.curl, kind: api.kind };
    draw(this.places.about, shown, () => [
      el("p", { class: "line" }, state(api.state, api.reason), el("span", { class: "kind" }, api.kind),
        api.version ? `version ${api.version}` : "", api.url ? el("a", { href: `${api.endpoint}/` }, api.url) : "",
        button("refresh", "Refresh", () => this.act(
          `Load version ${api.version} of ${this.name} anew, beside itself, and switch?`,
          `${this.name} was loaded anew`, () => change("POST", `${this.path}/refresh`)))),
      api.reason ? el("p", { class: "failure" }, api.reason) : null,
      api.curl ? el("pre", { tabindex: 0 }, api.curl) : null,
    ]);
  }

  load(series) {
    const [requests, latency, inside] = this.places.plots.children;
    const times = series.map((at) => at.time);
    const column = (key) => series.map((at) => at[key]);
    plot(requests, "Requests a second", times,
      [{ name: "all", values: column("requests") }, { name: "failed", values: column("errors") }], number);
    plot(latency, "Latency", times,
      [{ name: "p50", values: column("p50_s") }, { name: "p99", values: column("p99_s") }], seconds);
    plot(inside, "Inside", times,
      [{ name: "in flight", values: column("in_flight") }, { name: "queue", values: column("queued") }], number);
  }

  versions(api) {
    draw(this.places.versions, api.versions, (found) => table(
      ["Version", "State", "Deployed", "By", "What changed", ""],
      found.map((v) => cells(number(v.number), state(v.state, v.reason), clock(v.made), v.by,
        el("td", { class: "said-small" }, v.reason ? el("p", { class: "bad" }, v.reason) : null,
          v.changes.map((line) => el("p", {}, line))),
        v.state === "retired" ? button(`back ${v.number}`, "Go back to it", () => this.act(
          `Let version ${v.number} of ${this.name} answer again?`, `version ${v.number} answers`,
          () => change("POST", `${this.path}/rollback`, { version: v.number }))) : "")),
      "No version yet.",
    ));
  }

  traffic(api) {
    const shares = api.status.apis ?? api.spec.apis;
    draw(this.places.traffic, { shares, guard: api.spec.guard, fallback: api.status.fallback }, () => {
      const fields = shares.filter((share) => !share.shadow).map((share) => el("input", {
        type: "number", min: 0, max: 100, step: 1, value: share.weight, required: true,
        "data-key": `weight ${share.name}`, "data-api": share.name, "aria-label": `Percent to ${share.name}`,
      }));
      const rows = shares.map((share) => cells(share.name,
        share.shadow ? "a copy of each request; its answers are dropped"
          : el("span", { class: "track" }, bar(share.weight)),
        share.shadow ? "shadow" : fields.find((field) => field.dataset.api === share.name),
        share.shadow ? "" : button(`all ${share.name}`, "All to it", () => this.act(
          `Send all requests of ${this.name} to ${share.name}?`, `${share.name} answers all requests`,
          () => change("POST", `${this.path}/promote`, { api: share.name })))));
      const set = (event) => {
        event.preventDefault();
        const weights = Object.fromEntries(fields.map((field) => [field.dataset.api, Number(field.value)]));
        this.act("", "the weights are changed", () => change("PUT", `${this.path}/weights`, { weights }));
      };
      const guard = api.spec.guard;
      return el("form", { onsubmit: set }, table(["To", "Share", "Percent", ""], rows, ""),
        guard ? el("p", { class: "quiet" }, `Guard: goes back when ${words(guard)}`) : null,
        el("div", { class: "run" }, el("button", { class: "primary", "data-key": "weights" }, "Set the weights")));
    });
  }

  errors(found) {
    return table(["Time", "Status", "Request", "Message", "Body", ""], found.map((error) => cells(
      clock(error.time), el("td", { class: "bad" }, number(error.status)),
      el("td", { class: "mono" }, `${error.method} ${error.path}`, el("br"), el("span", { class: "quiet" }, error.request_id)),
      error.message, el("td", { class: "mono said-small" }, error.body ?? ""),
      button(`lines ${error.request_id}`, "Its log", () => this.only(error.request_id)))),
    "No request has failed since the node was started.");
  }

  // Show the lines of one request alone.
  only(id) {
    this.filter = this.filter === id ? "" : id;
    this.sections.log.scrollIntoView({ behavior: "smooth", block: "nearest" });
    this.page.soon();
  }

  log(found) {
    const shown = this.filter ? found.filter((line) => line.request_id === this.filter) : found;
    const place = this.places.log;
    const box = place.querySelector("pre");
    const atEnd = !box || box.scrollTop + box.clientHeight >= box.scrollHeight - 8;
    const from = box?.scrollTop ?? 0;
    draw(place, { shown, filter: this.filter }, () => [
      this.filter ? el("p", { class: "line" }, `lines of request ${this.filter} `,
        button("all lines", "Show all", () => this.only(this.filter))) : null,
      shown.length ? el("pre", { tabindex: 0, class: "log" }, shown.map((line) => el("span", { class: line.level === "error" || line.level === "ERROR" ? "bad" : "" }, text(line), "\n")))
        : el("p", { class: "empty" }, this.filter ? "The service said nothing about this request." : "Nothing was logged yet."),
    ]);
    const now = place.querySelector("pre");
    if (now) now.scrollTop = atEnd ? now.scrollHeight : from;
  }
}

function replicas(found) {
  return table(["Replica", "State", "Since", "In flight", "Restarts", "Memory"], found.map((r) => cells(
    el("td", { class: "mono" }, r.id), state(r.state, r.reason), clock(r.started || null), number(r.in_flight),
    number(r.restarts), bytes(r.memory_bytes))), "");
}

function decided(found) {
  return table(["Time", "Replicas", "Why"], found.map((d) => cells(
    clock(d.time ?? d.at), `${d.current} → ${d.target}`,
    el("td", { class: "said-small" }, (d.reasons ?? [d.why]).flat().map((line) => el("p", {}, String(line)))))), "");
}

function bar(percent) {
  const made = el("span", { class: "bar" });
  made.style.width = `${percent}%`;
  return made;
}

function words(guard) {
  const said = [];
  if (guard.max_error_rate !== null && guard.max_error_rate !== undefined) said.push(`more than ${number(100 * guard.max_error_rate)} % of requests fail`);
  if (guard.max_p99_ms) said.push(`p99 is above ${number(guard.max_p99_ms)} ms`);
  return `${said.join(" or ")} (at least ${number(guard.min_requests)} requests in ${number(guard.window_s)} s)`;
}

function text({ time, level, message, api, version, request_id, ...more }) {
  const rest = Object.entries(more).filter(([, v]) => v !== null && v !== "").map(([k, v]) => (
    `${k}=${typeof v === "string" ? v : JSON.stringify(v)}`));
  return [clock(time), version ? `v${version}` : "", message, ...rest, request_id ? `(${request_id})` : ""].filter(Boolean).join("  ");
}
