// The control API, asked with the token of this tab.

const KEY = "descent-token";

export class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

// The token of the address (`#token=…`) moves into the tab's own memory: it is not left in sight.
export function takeToken() {
  const found = /(?:^#|&)token=([^&]+)/.exec(location.hash);
  if (found) {
    keepToken(decodeURIComponent(found[1]));
    history.replaceState(null, "", location.pathname);
  }
  return sessionStorage.getItem(KEY);
}

export function keepToken(token) {
  if (token) sessionStorage.setItem(KEY, token);
  else sessionStorage.removeItem(KEY);
}

async function send(path, method, body) {
  const headers = { authorization: `Bearer ${sessionStorage.getItem(KEY) ?? ""}` };
  if (body !== undefined) headers["content-type"] = "application/json";
  const options = { method, headers, body: body === undefined ? undefined : JSON.stringify(body) };
  let answer;
  try {
    answer = await fetch(path, options);
  } catch {
    throw new Refused(0, "the node does not answer");
  }
  if (answer.ok) return answer;
  let said = `${method} ${path} was answered with ${answer.status}`;
  try {
    said = (await answer.json()).error.message;
  } catch { /* no JSON: the status must do */ }
  throw new Refused(answer.status, said);
}

const control = (path) => `/-${path}`;

export const get = async (path) => (await send(control(path), "GET")).json();
export const change = async (method, path, body) => (await send(control(path), method, body)).json();

// An API's own paths (jobs are retried where they were submitted).
export const own = async (method, path) => (await send(path, method)).json();

// The last lines of a log: objects, one a line.
export async function lines(api, count, more = "") {
  const answer = await send(control(`/apis/${encodeURIComponent(api)}/logs?lines=${count}${more}`), "GET");
  const text = await answer.text();
  return text.split("\n").filter(Boolean).map((line) => {
    try {
      return JSON.parse(line);
    } catch {
      return { message: line };
    }
  });
}
