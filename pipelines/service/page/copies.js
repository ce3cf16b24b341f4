// The groups of copies, side by side, as many as are scrolled to.

import { card, count, facts as factsOf, find, make, say } from "./elements.js";
import { Endless, whenNear } from "./endless.js";
import { moveTo } from "./places.js";
import { openPreview } from "./preview.js";
import { ask } from "./service.js";
import { Work } from "./work.js";

const SCROLL = { step: 20, most: 500, ahead: 600 };
export const copiesWork = new Work("groups", "copies-facts", "copies-stopped");
let list = null;

export function showCopies(variant, kind, to, search) {
  const mine = (list = { variant, kind, to, search, shown: 0 });
  mine.rows = new Endless(find("more-groups"), SCROLL, (offset, limit) => some(mine, offset, limit));
  copiesWork.stop("", null, null);
  const { groups } = variant;
  find("copies-kind").hidden = groups.leaks === null || groups.duplicates === null;
  for (const button of find("copies-kind").children) {
    button.setAttribute("aria-pressed", String(button.dataset.kind === kind));
  }
  run(mine);
}

async function run(mine) {
  if (!mine.shown) copiesWork.begin("Loading…");
  try {
    await mine.rows.more(mine.to?.count);
  } catch (error) {
    if (mine !== list) return;
    copiesWork.end();
    if (!mine.shown) {
      find("groups").replaceChildren();
      find("copies-title").textContent = "Copies";
      say("copies-facts", "");
    }
    copiesWork.stop(error.message, error.code, () => run(mine));
  }
}

async function some(mine, offset, limit) {
  const wanted = { variant: mine.variant.name, kind: mine.kind, offset, limit };
  const answer = await ask(`groups?${new URLSearchParams(wanted)}`);
  if (mine !== list) return null;
  copiesWork.end();
  if (offset === 0) head(answer);
  find("groups").append(...answer.groups.map((members) => group(mine, members)));
  mine.shown += answer.groups.length;
  if (mine.to && mine.shown >= Math.min(mine.to.count, answer.count)) {
    moveTo(mine.to);
    mine.to = null;
  }
  return answer.count;
}

function head(answer) {
  find("groups").replaceChildren();
  say("copies-facts", "");
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
  if (picture.kind === "exact") return "exact copy";
  const words = [picture.change || picture.kind];
  words.push(picture.agreement === null ? picture.score.toFixed(3) : `${Math.round(picture.agreement * 100)}% agree`);
  if (picture.held_back) words.push(picture.held_back);
  return words.join(", ");
}

whenNear(find("more-groups"), SCROLL.ahead, () => list?.shown && run(list));
