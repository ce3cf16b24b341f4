// The variants that are served, asked for again and again; and whether the service answers.

import { count, find, make, say } from "./elements.js";
import { ask } from "./service.js";

const POLL_MS = 10_000;
const TROUBLED_POLL_MS = 2_000;

export let served = null; // what the service said last: output, variants, problems

// changed: called when what is served is another. answered: called each time that it answers. isStopped: whether
// something waits for that.
export function watchVariants({ changed, answered, isStopped }) {
  let due_ms = 0;
  async function look() {
    if (document.visibilityState !== "visible") return;
    due_ms = performance.now() + POLL_MS;
    await learn(changed, answered);
  }
  const isTroubled = () => !served?.variants.length || isStopped();
  setInterval(() => (performance.now() >= due_ms || isTroubled()) && look(), TROUBLED_POLL_MS);
  addEventListener("online", look);
  document.addEventListener("visibilitychange", look);
  look();
}

async function learn(changed, answered) {
  let found;
  try {
    found = await ask("variants");
  } catch (error) {
    if (served === null) say("trouble", error.message);
    return;
  }
  const before = JSON.stringify(served);
  served = found;
  if (JSON.stringify(found) !== before) {
    document.title = `${found.output} · lookalike`;
    offer(found.variants);
    changed();
  }
  answered();
}

// The list to choose from is left alone while it says the same: it may be open.
function offer(variants) {
  const select = find("variant");
  const told = variants.map(({ name, pictures }) => [name, `${name} (${count(pictures, "picture")})`]);
  const said = [...select.options].map((option) => [option.value, option.textContent]);
  if (JSON.stringify(told) !== JSON.stringify(said)) {
    const chosen = select.value;
    select.replaceChildren(...told.map(([value, text]) => make("option", { value }, text)));
    select.value = chosen;
  }
  select.closest("label").hidden = variants.length < 2;
}
