// The groups of copies, side by side, as many as are scrolled to.

import { card, count, facts as factsOf, find, make, say } from "./elements.js";
import { openPreview } from "./preview.js";
import { ask } from "./service.js";

const LIMIT = 20;
let list = null;

export async function showCopies(variant, kind, search) {
  const mine = (list = { variant, kind, search, next: 0, count: Infinity, busy: false });
  find("groups").replaceChildren();
  say("copies-trouble", "");
  say("copies-facts", "");
  const { groups } = variant;
  find("copies-kind").hidden = groups.leaks === null || groups.duplicates === null;
  for (const button of find("copies-kind").children) {
    button.setAttribute("aria-pressed", String(button.dataset.kind === kind));
  }
  await more(mine);
}

async function more(mine) {
  if (mine !== list || mine.busy || mine.next >= mine.count) return;
  mine.busy = true;
  const wanted = { variant: mine.variant.name, kind: mine.kind, offset: mine.next, limit: LIMIT };
  let answer;
  try {
    answer = await ask(`groups?${new URLSearchParams(wanted)}`);
  } catch (error) {
    mine.count = 0;
    if (mine === list) say("copies-trouble", error.message);
    return;
  } finally {
    mine.busy = false;
  }
  if (mine !== list) return;
  mine.count = answer.count;
  if (mine.next === 0) head(answer);
  mine.next += LIMIT;
  find("groups").append(...answer.groups.map((members) => group(mine, members)));
  if (find("more-groups").getBoundingClientRect().top < innerHeight + 600) more(mine);
}

function head(answer) {
  find("copies-title").textContent = answer.count ? count(answer.count, "group of copies", "groups of copies") : "Copies";
  if (!answer.searched) {
    const command = make("code", {}, `lookalike dedup OUT --variant ${answer.variant}`);
    const told = make("p", { className: "empty" }, make("b", {}, "Nobody has looked for copies yet"), command);
    find("groups").replaceChildren(told);
    return;
  }
  if (!answer.count) {
    find("groups").replaceChildren(make("p", { className: "empty" }, make("b", {}, "No copies were found")));
  }
  const told = ["pictures", "groups", "kept", "proposed for removal", "not proposed", "between"];
  const { facts } = answer;
  say("copies-facts", told.filter((name) => facts[name]).map((name) => `${name}: ${facts[name]}`).join(" · "));
}

function group(mine, members) {
  const [kept] = members;
  const entries = members.map((picture) => ({ picture, caption: what(picture) }));
  const row = make("div", { className: "members" });
  members.forEach((picture, place) => {
    const shown = card(mine.variant.name, picture, {
      choose: () => openPreview(mine.variant.name, entries, place, entries[0], mine.search),
      enlarge: () => openPreview(mine.variant.name, entries, place, entries[0], mine.search),
    });
    const label = make("p", {}, make("span", { className: `what ${picture.kind === "kept" ? "keep" : picture.kind}` }, what(picture)));
    const about = make("p", { className: "small" }, factsOf(picture));
    row.append(make("div", { className: picture.keep ? "member keep" : "member" }, shown, label, about));
  });
  const removed = members.filter((one) => one.remove).length;
  const title = make("h2", {}, count(members.length, "picture"), make("span", {}, removed ? ` · ${count(removed, "proposed", "proposed")} for removal` : " · none proposed for removal"));
  return make("article", { className: "group", ariaLabel: `Copies of ${kept.uri}` }, title, row);
}

function what(picture) {
  if (picture.keep) return "keep";
  if (picture.kind === "exact") return "same file";
  const words = [picture.change || picture.kind];
  words.push(picture.agreement === null ? picture.score.toFixed(3) : `${Math.round(picture.agreement * 100)}% agree`);
  if (picture.held_back) words.push(picture.held_back);
  return words.join(", ");
}

new IntersectionObserver(
  (seen) => seen.some((one) => one.isIntersecting) && list && more(list),
  { rootMargin: "600px" },
).observe(find("more-groups"));
