// The pictures of the set, or what is like one of them, or like a picture of the user's.

import { card, count, facts, fileName, find, make, say } from "./elements.js";
import { openPreview } from "./preview.js";
import { ask, thumbnail } from "./service.js";

const LIMIT = 60;
let list = null;

// wanted: variant, k, least, filter (an SQL condition or ""), and query: null, { id } or { file, url }.
export async function showPictures(wanted, search) {
  list?.stop.abort();
  const mine = (list = { ...wanted, search, entries: [], next: 0, count: Infinity, busy: false, stop: new AbortController() });
  say("trouble", "");
  showQuery(mine);
  try {
    await (mine.query === null ? more(mine) : neighbors(mine));
  } catch (error) {
    if (error.name === "AbortError" || mine !== list) return;
    mine.count = 0;
    find("grid").replaceChildren();
    say("trouble", error.message);
    find("status").textContent = "";
  }
}

export function showLeast(least) {
  if (list === null || list.query === null) return;
  list.least = least;
  let shown = 0;
  for (const { picture, element } of list.entries) {
    element.hidden = picture.score < least;
    shown += element.hidden ? 0 : 1;
  }
  const hidden = list.entries.length - shown;
  const left_out = hidden ? `, ${hidden.toLocaleString("en")} under the least score` : "";
  find("status").textContent = count(shown, "neighbor") + left_out + (list.filter ? ", filtered" : "");
  emptyNote(shown === 0, list.entries.length ? "Nothing is as alike as that" : "No picture matches the filter");
}

async function neighbors(mine) {
  const { variant, k, filter, query, stop } = mine;
  find("grid").classList.add("stale");
  let answer;
  if (query.file) {
    const form = new FormData();
    form.append("image", query.file);
    form.append("k", k);
    form.append("variant", variant.name);
    if (filter) form.append("filter", filter);
    answer = await ask("search", { method: "POST", body: form, signal: stop.signal });
  } else {
    const asked = new URLSearchParams({ k, variant: variant.name });
    if (filter) asked.set("filter", filter);
    answer = await ask(`neighbors/${query.id}?${asked}`, { signal: stop.signal });
  }
  if (mine !== list) return;
  find("grid").replaceChildren();
  if (query.file && answer.query !== null) find("query-name").textContent = `${query.file.name || "your picture"}, which is in the set`;
  add(mine, answer.neighbors);
  mine.count = mine.next = answer.neighbors.length;
  showLeast(mine.least);
}

async function more(mine) {
  if (mine !== list || mine.busy || mine.next >= mine.count) return;
  mine.busy = true;
  const asked = new URLSearchParams({ variant: mine.variant.name, offset: mine.next, limit: LIMIT });
  if (mine.filter) asked.set("filter", mine.filter);
  let answer;
  try {
    answer = await ask(`pictures?${asked}`, { signal: mine.stop.signal });
  } finally {
    mine.busy = false;
  }
  if (mine !== list) return;
  if (mine.next === 0) find("grid").replaceChildren();
  mine.count = answer.count;
  mine.next += LIMIT;
  add(mine, answer.pictures);
  find("status").textContent = mine.filter ? count(answer.count, "picture matches", "pictures match") + " the filter" : count(answer.count, "picture");
  emptyNote(answer.count === 0, "No picture matches the filter");
  if (find("more").getBoundingClientRect().top < innerHeight + 800) await more(mine);
}

function add(mine, pictures) {
  for (const picture of pictures) {
    const place = mine.entries.length;
    const isNeighbor = mine.query !== null;
    const caption = isNeighbor ? `${picture.rank}. score ${picture.score.toFixed(4)}` : fileName(picture.uri);
    const element = card(mine.variant.name, picture, {
      choose: () => mine.search(picture),
      enlarge: () => enlarge(mine, place),
      score: isNeighbor ? picture.score : null,
      own: isNeighbor && mine.query.id === picture.id,
    });
    mine.entries.push({ picture, caption, element });
    find("grid").append(element);
  }
}

function enlarge(mine, place) {
  const shown = mine.entries.filter(({ element }) => !element.hidden);
  const { query } = mine;
  let beside = null;
  if (query?.file) beside = { url: query.url, caption: "your picture" };
  if (query && !query.file && query.picture) beside = { picture: query.picture, caption: "searched for" };
  openPreview(mine.variant.name, shown, Math.max(shown.indexOf(mine.entries[place]), 0), beside, mine.search);
}

export function enlargeFocused(pick) {
  pick.parentElement.querySelector(".large")?.click();
}

function emptyNote(isEmpty, text) {
  find("grid").querySelector(".empty")?.remove();
  if (isEmpty) find("grid").append(make("p", { className: "empty" }, make("b", {}, text), "Try another filter, or less of a score."));
}

function showQuery(mine) {
  const { query, variant } = mine;
  find("drop").classList.toggle("filled", query !== null);
  find("query-picture").hidden = query === null;
  find("query-facts").hidden = query === null;
  find("sliders").hidden = query === null;
  if (query === null) return;
  find("query-picture").src = query.url ?? thumbnail(variant.name, query.id, 640);
  find("query-name").textContent = query.file ? query.file.name || "your picture" : "";
  if (query.file) return;
  ask(`pictures/${query.id}?${new URLSearchParams({ variant: variant.name })}`, { signal: mine.stop.signal })
    .then(({ pictures: [picture] }) => {
      if (mine !== list) return;
      query.picture = picture;
      find("query-name").textContent = `${fileName(picture.uri)}, ${facts(picture)}`;
      find("query-name").title = picture.uri;
    })
    .catch(() => {}); // the search tells what is wrong
}

new IntersectionObserver(
  (seen) => {
    if (list && list.query === null && seen.some((one) => one.isIntersecting)) more(list).catch((error) => error.name === "AbortError" || say("trouble", error.message));
  },
  { rootMargin: "800px" },
).observe(find("more"));
