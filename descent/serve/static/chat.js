// A conversation: what was said, the answer as it is made, and the way to stop it.

import { streamAnswer } from "./api.js";

const $ = (id) => document.getElementById(id);

export class Conversation {
  /** `page`: settings() for a request; begin(), token(token), end(), failed(message) as it goes. */
  constructor(page) {
    this.page = page;
    this.messages = [];
    this.running = null;
    $("ask").addEventListener("submit", (event) => { event.preventDefault(); this.ask(); });
    $("question").addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      this.ask();
    });
    $("clear").addEventListener("click", () => { this.clear(); $("question").focus(); });
  }

  stop() {
    this.running?.abort();
    this.running = null;
  }

  clear() {
    this.stop();
    this.messages = [];
    $("log").replaceChildren();
  }

  async ask() {
    const content = $("question").value.trim();
    if (!content) return;
    this.stop();
    const mine = (this.running = new AbortController());
    this.messages.push({ role: "user", content });
    this.show("user", content);
    $("question").value = "";
    this.page.begin();
    const bubble = this.show("assistant", "");
    let answer = "";
    try {
      const body = { ...this.page.settings(), messages: this.messages };
      delete body.truncate_prompt_tokens; // a conversation is not cut in its middle
      const asked = { ...body, logprobs: true, top_logprobs: 10 };
      for await (const token of streamAnswer(asked, mine.signal)) {
        if (this.running !== mine) return;
        answer += token.text;
        bubble.textContent = answer;
        $("log").scrollTop = $("log").scrollHeight;
        this.page.token(token);
      }
      if (this.running !== mine) return;
      this.page.end();
    } catch (error) {
      if (this.running !== mine) return;
      this.page.failed(error instanceof TypeError ? "The server does not answer." : error.message);
    } finally {
      if (this.running === mine) this.running = null;
      // What was said stands, even if it was cut short; an answer of nothing is none.
      if (answer) this.messages.push({ role: "assistant", content: answer });
      else bubble.remove();
    }
  }

  show(role, content) {
    const item = document.createElement("li");
    item.className = role;
    item.textContent = content;
    $("log").append(item);
    $("log").scrollTop = $("log").scrollHeight;
    return item;
  }
}
