// The pictures of the set, or what is like one of them, or like a picture of the user's.

import { card, count, fileName, find, make, say } from "./elements.js";
import { Endless, whenNear } from "./endless.js";
import { moveTo } from "./places.js";
import { openPreview } from "./preview.js";
import { showQuery } from "./query.js";
import { PASSING, ask } from "./service.js";
import { Work } from "./work.js";

const SCROLL = { step: 60, most: 1000, ahead: 800 };
const AGAIN = new Set([...PASSING, "internal"]);
export const searchWork = new Work("grid", "status", "stopped");
let list = null;

// wanted: variant, k, least, filter (an SQL condition or ""), query: null, { id } or { file, url }.
export function showPictures(wanted, to, search) {
  list?.stop.abort();
  const mine = (list = { ...wanted, to, search, entries: [], stop: new AbortController() });
  mine.rows = new Endless(find("more"), SCROLL, (offset, limit) => some(mine, offset, limit));
  say("trouble", "");
  searchWork.stop("", null, null);
  showQuery(mine.query, mine.variant.name, mine.stop.signal);
  run(mine);
}

// Words in place of pictures.
export function showNote(title, ...told) {
  list?.stop.abort();
  list = null;
  say("trouble", "");
  searchWork.end();
  showQuery(null);
  find("status").textContent = "";
  find("grid").replaceChildren(make("p", { className: "empty" }, make("b", {}, title), ...told));
  scrollTo(0, 0);
}

async function run(mine) {
  if (!mine.entries.length) searchWork.begin("Searching…");
  try {
    await (mine.query === null ? mine.rows.more(mine.to?.count) : neighbors(mine));
  } catch (error) {
    if (error.name !== "AbortError" && mine === list) fail(mine, error);
  }
}

function fail(mine, error) {
  searchWork.end();
  if (!mine.entries.length) {
    find("grid").replaceChildren();
    find("status").textContent = "";
    scrollTo(0, 0);
  }
  if (mine.entries.length || AGAIN.has(error.code)) searchWork.stop(error.message, error.code, () => run(mine));
  else if (error.code === "no_such_picture") say("trouble", `There is no picture ${mine.query.id} in ${mine.variant.name}.`);
  else say("trouble", error.message);
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
  const leftOut = hidden ? `, ${hidden.toLocaleString("en")} under the least score` : "";
  find("status").textContent = count(shown, "neighbor") + leftOut + (list.filter ? ", filtered" : "");
  emptyNote(shown === 0, list.entries.length ? "Nothing is as alike as that" : "No picture matches the filter");
}

async function neighbors(mine) {
  const { variant, k, filter, query, stop } = mine;
  const asked = new URLSearchParams({ k, variant: variant.name });
  if (filter) asked.set("filter", filter);
  let answer;
  if (query.file) {
    const form = new FormData();
    form.append("image", query.file);
    for (const [name, value] of asked) form.append(name, value);
    answer = await ask("search", { method: "POST", body: form, signal: stop.signal });
  } else answer = await ask(`neighbors/${query.id}?${asked}`, { signal: stop.signal });
  if (mine !== list) return;
  searchWork.end();
  find("grid").replaceChildren();
  if (query.file && answer.query !== null) find("query-name").textContent = `${query.file.name || "your picture"}, which is in the set`;
  add(mine, answer.neighbors);
  showLeast(mine.least);
  arrived(mine);
}

async function some(mine, offset, limit) {
  const asked = new URLSearchParams({ variant: mine.variant.name, offset, limit });
  if (mine.filter) asked.set("filter", mine.filter);
  const answer = await ask(`pictures?${asked}`, { signal: mine.stop.signal });
  if (mine !== list) return null;
  searchWork.end();
  if (offset === 0) find("grid").replaceChildren();
  add(mine, answer.pictures);
  find("status").textContent = mine.filter ? count(answer.count, "picture matches", "pictures match") + " the filter" : count(answer.count, "picture");
  emptyNote(answer.count === 0, "No picture matches the filter");
  if (mine.entries.length >= Math.min(mine.to?.count ?? 0, answer.count)) arrived(mine);
  return answer.count;
}

// Once a list, when enough of it is there.
function arrived(mine) {
  if (mine.to) moveTo(mine.to);
  mine.to = null;
}

function add(mine, pictures) {
  const cards = pictures.map((picture) => {
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
    return element;
  });
  find("grid").append(...cards);
}

function enlarge(mine, place) {
  const shown = mine.entries.filter(({ element }) => !element.hidden);
  const { query } = mine;
  let beside = null;
  if (query?.file) beside = { url: query.url, caption: query.file.name || "your picture" };
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

whenNear(find("more"), SCROLL.ahead, () => list?.query === null && list.entries.length && run(list));
