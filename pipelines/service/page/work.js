// That work is under way on a list, and that it has stopped: said where the user looks.

import { find, say } from "./elements.js";
import { PASSING } from "./service.js";

const PATIENCE_MS = 150;

export class Work {
  #timer = 0;
  #again = null;
  #code = null;

  // list: of the pictures; status: where it is said in words; stopped: a box with a button, after the list.
  constructor(list, status, stopped) {
    Object.assign(this, { list, status, stopped });
    find(stopped).querySelector("button").onclick = () => this.again();
  }

  begin(text) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => say(this.status, text), PATIENCE_MS);
    find(this.list).classList.add("stale");
    find(this.list).setAttribute("aria-busy", "true");
  }

  end() {
    clearTimeout(this.#timer);
    find(this.list).classList.remove("stale");
    find(this.list).removeAttribute("aria-busy");
    this.stop("", null, null);
  }

  // again: does what was stopped; null where nothing is.
  stop(message, code, again) {
    this.#again = again;
    this.#code = code;
    find(this.stopped).hidden = again === null;
    find(this.stopped).querySelector("p").textContent = message;
  }

  // What was stopped, once more. `isBack`: only what has a chance now that the service answers.
  again({ isBack = false } = {}) {
    if (this.#again !== null && (!isBack || PASSING.has(this.#code))) this.#again();
  }

  get isStopped() {
    return this.#again !== null && PASSING.has(this.#code);
  }
}
