// The service's HTTP contract, as much of it as the page needs: models, and completions as events.

const key = new URLSearchParams(location.hash.slice(1)).get("key"); // /#key=… where one is required

function headers() {
  return key
    ? { "content-type": "application/json", authorization: `Bearer ${key}` }
    : { "content-type": "application/json" };
}

async function checked(response) {
  if (response.ok) return response;
  let message = `The server answered ${response.status}.`;
  try {
    message = (await response.json()).error.message;
  } catch {
    // not an answer of this service: the status has to do
  }
  if (response.status === 401) message += " Open this page as /#key=YOUR_KEY.";
  throw new Error(message);
}

export async function listModels() {
  const response = await checked(await fetch("v1/models", { headers: headers() }));
  return (await response.json()).data;
}

export async function complete(body, signal) {
  const response = await fetch("v1/completions", {
    method: "POST", headers: headers(), body: JSON.stringify(body), signal,
  });
  return (await checked(response)).json();
}

/** Yields the (first) choice of each chunk of a streamed answer. */
async function* streamed(path, body, signal) {
  const response = await checked(await fetch(path, {
    method: "POST",
    headers: headers(),
    body: JSON.stringify({ ...body, stream: true, return_token_ids: true }),
    signal,
  }));
  for await (const data of events(response.body)) {
    if (data === "[DONE]") return;
    const chunk = JSON.parse(data);
    if (chunk.error) throw new Error(chunk.error.message);
    yield chunk.choices[0];
  }
}

/** Yields {id, token, text, logprob, top: [[token, logprob] …], finish} as the model makes them. */
export async function* streamTokens(body, signal) {
  for await (const choice of streamed("v1/completions", body, signal)) {
    if (!choice?.logprobs?.tokens.length) continue;
    const top = Object.entries(choice.logprobs.top_logprobs[0] ?? {});
    yield {
      id: choice.token_ids[0],
      token: choice.logprobs.tokens[0],
      text: choice.text,
      logprob: choice.logprobs.token_logprobs[0],
      top: top.sort((a, b) => b[1] - a[1]), // JSON objects put keys such as "1" first
      finish: choice.finish_reason,
    };
  }
}

/** The same of an answer in a conversation. */
export async function* streamAnswer(body, signal) {
  for await (const choice of streamed("v1/chat/completions", body, signal)) {
    for (const [i, entry] of (choice?.logprobs?.content ?? []).entries()) {
      yield {
        id: choice.token_ids?.[i] ?? null,
        token: entry.token,
        text: i === 0 ? choice.delta.content ?? "" : "",
        logprob: entry.logprob,
        top: entry.top_logprobs.map((other) => [other.token, other.logprob]),
        finish: choice.finish_reason,
      };
    }
  }
}

async function* events(stream) {
  const reader = stream.pipeThrough(new TextDecoderStream()).getReader();
  let buffer = "";
  while (true) {
    const { value, done } = await reader.read();
    if (done) return;
    buffer += value;
    let end;
    while ((end = buffer.indexOf("\n\n")) >= 0) {
      const line = buffer.slice(0, end);
      buffer = buffer.slice(end + 2);
      if (line.startsWith("data: ")) yield line.slice(6);
    }
  }
}
