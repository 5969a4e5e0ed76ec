// Jobs of an AsyncAPI, BatchAPI or TaskAPI: progress, cancelling, trying again, dead letters.

import { change, get, own } from "./api.js";
import { button, cells, clock, draw, el, number, state, table } from "./parts.js";

export class Work {
  constructor(detail, api) {
    this.detail = detail;
    this.endpoint = api.endpoint;
    this.kind = api.kind;
  }

  async update() {
    const { jobs } = await get(`${this.detail.path}/jobs?limit=50`);
    draw(this.detail.places.jobs, jobs, () => table(
      ["Job", "Status", "Progress", "Made", "Ended", ""], jobs.map((job) => this.job(job)),
      ["No jobs yet. Try: ", el("code", {}, `descent submit ${this.detail.name} '…'`)]));
    let letters = [];
    try {
      letters = (await own("GET", `${this.endpoint}/dead-letters`)).dead_letters ?? [];
    } catch { /* a kind without them */ }
    this.detail.show("dead", letters.length > 0);
    draw(this.detail.places.dead, letters, () => this.letters(letters));
  }

  job(job) {
    const id = job.id ?? job.job_id;
    const ended = job.ended;
    const failed = /fail|error|timed|stopped|cancelled|oom/.test(job.status);
    return cells(el("td", { class: "mono" }, id), state(job.status, job.reason ?? ""), progress(job),
      clock(job.created ?? job.created_time), clock(job.ended_at ?? job.end_time ?? (typeof ended === "boolean" ? null : ended)),
      ended === false ? button(`stop ${id}`, "Stop", () => this.detail.act(
        `Stop job ${id}? What it has done stays done.`, `job ${id} is stopped`,
        () => change("DELETE", `${this.detail.path}/jobs/${encodeURIComponent(id)}`)))
        : failed ? button(`again ${id}`, "Try again", () => this.detail.act("", `job ${id} is tried again`, () => this.again(id)))
          : "");
  }

  again(id) {
    const path = this.kind === "AsyncAPI" ? `${this.endpoint}/${encodeURIComponent(id)}/retry`
      : `${this.endpoint}/retry?jobID=${encodeURIComponent(id)}`;
    return own("POST", path);
  }

  // A batch's dead letters stay in their job: that is tried again.
  redrive(letters) {
    if (this.kind === "AsyncAPI") return own("POST", `${this.endpoint}/dead-letters/redrive`);
    return Promise.all([...new Set(letters.map((letter) => letter.job_id))].map((id) => this.again(id)));
  }

  letters(letters) {
    return [
      el("p", { class: "line" }, `${number(letters.length)} used up their attempts.`,
        button("redrive", "Try all again", () => this.detail.act(
          `Try ${letters.length} dead letters again, with fresh attempts?`, "they are tried again",
          () => this.redrive(letters)))),
      table(["Job", "Unit", "Attempts", "Error"], letters.map((letter) => cells(
        el("td", { class: "mono" }, letter.id ?? letter.job_id ?? letter.job), number(letter.index ?? letter.batch ?? 0),
        number(letter.attempts), el("td", { class: "said-small" }, said(letter.error)))), ""),
    ];
  }
}

function said(error) {
  if (error === null || error === undefined) return "";
  return typeof error === "string" ? error : error.message ?? JSON.stringify(error);
}

function progress(job) {
  const total = job.total ?? job.total_batch_count;
  if (!total) return job.progress ? el("span", { class: "mono" }, JSON.stringify(job.progress)) : "";
  const done = (job.succeeded ?? 0) + (job.failed ?? 0);
  const bar = el("progress", { max: total, value: done, "aria-label": `${done} of ${total}` });
  return el("span", { class: "line" }, bar, `${number(done)} of ${number(total)}`,
    job.failed ? el("span", { class: "bad" }, `${number(job.failed)} failed`) : null);
}
