// What stands in the address decides what is shown; what the user does changes the address.

import { readAddress } from "./address.js";
import { copiesWork, showCopies } from "./copies.js";
import { find, make } from "./elements.js";
import { readFilter } from "./filter.js";
import { choosePicture } from "./given.js";
import "./keys.js";
import { place, start } from "./places.js";
import { searchWork, showLeast, showNote, showPictures } from "./search.js";
import { currentKey, go, note, startTravel } from "./travel.js";
import { uploadOf } from "./uploads.js";
import { served, watchVariants } from "./variants.js";

const KINDS = ["duplicates", "leaks"];
const search = (picture) => go(`/like/${picture.id}`);
let awaited = null; // the place to go to when it is known what is served

function show(to) {
  awaited = to;
  if (served === null) return;
  const asked = readAddress();
  const variant = asked.variant === null ? served.variants[0] : served.variants.find(({ name }) => name === asked.variant);
  const isCopies = asked.view === "copies" && variant !== undefined;
  find("search-view").hidden = isCopies;
  find("copies-view").hidden = !isCopies;
  showBar(asked, variant, isCopies);
  if (isCopies) {
    const usual = variant.groups.duplicates === null && variant.groups.leaks !== null ? "leaks" : "duplicates";
    showCopies(variant, KINDS.includes(asked.kind) ? asked.kind : usual, to, search);
    return;
  }
  const { condition } = showControls(asked);
  const query = variant && queryOf(asked);
  if (!served.variants.length) {
    const [problem] = Object.values(served.problems);
    const command = make("code", {}, "lookalike index OUT");
    showNote(problem ?? "There is no index yet", "It is shown here as soon as it is built: ", command);
  } else if (variant === undefined) {
    const names = served.variants.map(({ name }) => name).join(", ");
    showNote(`There is no variant “${asked.variant}” here`, `There is ${names}. `, allPictures());
  } else if (query === undefined) showOdd(asked);
  else showPictures({ variant, k: asked.k, least: asked.least, filter: condition, query }, to, search);
}

// Null for all pictures; undefined where the address asks for none that there is.
function queryOf({ view, id }) {
  if (view === "") return null;
  if (view === "like" && id !== null) return { id };
  return view === "upload" ? uploadOf(id) : undefined;
}

function showOdd({ view, path }) {
  if (view === "upload") {
    const choose = make("button", { onclick: choosePicture }, "Choose the picture again");
    showNote("The picture you searched with is no longer here", "Only your browser had it. ", make("br"), choose);
  } else if (view === "like") showNote(`“${path.split("/").slice(2).join("/")}” is not the number of a picture`, allPictures());
  else showNote(`There is no view “${path}” here`, allPictures());
}

const allPictures = () => make("a", { href: find("clear").href }, "See all pictures");

function showBar(asked, variant, isCopies) {
  for (const link of document.querySelectorAll("[data-view]")) {
    if (link.dataset.view === (isCopies ? "copies" : "search")) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  const kept = variant && asked.variant !== null ? `?${new URLSearchParams({ variant: variant.name })}` : "";
  document.querySelector(".brand").href = find("clear").href = `#/${kept}`;
  document.querySelector('[data-view="search"]').href = `#/${kept}`;
  document.querySelector('[data-view="copies"]').href = `#/copies${kept}`;
  find("variant").value = variant?.name ?? "";
  const groups = variant?.groups.duplicates;
  find("copies-count").textContent = groups ? groups.toLocaleString("en") : "";
}

function showControls({ filter, as, k, least }) {
  const read = readFilter(filter, as);
  if (document.activeElement !== find("filter")) find("filter").value = filter;
  find("filter-read").hidden = !read.condition;
  find("filter-told").textContent = read.isWords ? `Paths with ${read.words.map((word) => `“${word}”`).join(" and ")}.` : "Read as a condition.";
  find("filter-other").textContent = read.isWords ? "Read it as a condition" : "Look for the words";
  find("filter-other").onclick = () => go(null, { as: read.isWords ? "condition" : "words" }, { replace: true });
  find("k").value = k;
  find("k-value").textContent = k;
  find("least").value = least;
  find("least-value").textContent = least.toFixed(2);
  return read;
}

function later(work, wait_ms) {
  let timer = 0;
  return () => {
    clearTimeout(timer);
    const key = currentKey();
    timer = setTimeout(() => key === currentKey() && work(), wait_ms); // not in a view come to since
  };
}

find("filter").oninput = later(() => go(null, { filter: find("filter").value, as: null }, { replace: true }), 350);
const keptLeast = () => ({ least: Number(find("least").value) || null });
const changeK = later(() => go(null, { k: find("k").value, ...keptLeast() }, { replace: true }), 200);
find("k").oninput = () => {
  find("k-value").textContent = find("k").value;
  changeK();
};
const keepLeast = later(() => note(keptLeast()), 300);
find("least").oninput = () => {
  const least = Number(find("least").value);
  find("least-value").textContent = least.toFixed(2);
  showLeast(least);
  keepLeast();
};
find("variant").onchange = () => {
  const isOwn = readAddress().view === "like"; // ids are those of one index
  go(isOwn ? "/" : null, { variant: find("variant").value });
};
for (const button of find("copies-kind").children) {
  button.onclick = () => go(null, { kind: button.dataset.kind });
}
find("help-button").onclick = () => find("help").showModal();

find("search-view").hidden = false;
startTravel(show);
const works = [searchWork, copiesWork];
watchVariants({
  changed: () => show(place() ?? awaited ?? start()),
  answered: () => works.forEach((work) => work.again({ isBack: true })),
  isStopped: () => works.some((work) => work.isStopped),
});
