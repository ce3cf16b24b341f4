// What stands in the address decides what is shown; what the user does changes the address.

import { showCopies } from "./copies.js";
import { find, make, moveFocus, say } from "./elements.js";
import { enlargeFocused, showLeast, showPictures } from "./search.js";
import { ask } from "./service.js";

const USUAL_K = 40;
const POLL_MS = 10_000;
const SQL = /[<>=()']|\s(i?like|between)\s|\sis\s+(not\s+)?null\b/i; // else words, looked for in paths

let variants = [];
let upload = null; // the user's own picture: { file, url }

// The address: #/ (all pictures), #/like/ID, #/upload, #/copies; then variant, k, least, filter, kind.
function route() {
  const [path, rest = ""] = location.hash.replace(/^#/, "").split("?");
  const asked = new URLSearchParams(rest);
  const [, view = "", id = ""] = path.split("/");
  return { view, id, asked };
}

function address(path, changes) {
  const { asked } = route();
  for (const [name, value] of Object.entries(changes)) {
    if (value === null || value === "") asked.delete(name);
    else asked.set(name, value);
  }
  const text = asked.toString();
  return `#${path ?? (location.hash.replace(/^#/, "").split("?")[0] || "/")}${text && `?${text}`}`;
}

function go(path, changes = {}, { replace = false } = {}) {
  const hash = address(path, changes);
  if (hash === location.hash) show();
  else if (replace) {
    history.replaceState(null, "", hash);
    show();
  } else location.hash = hash;
}

const condition = (text) =>
  SQL.test(text) || !text.trim()
    ? text.trim()
    : text.trim().split(/\s+/).map((word) => `uri ilike '%${word.replaceAll("'", "''")}%'`).join(" and ");

const search = (picture) => go(`/like/${picture.id}`);

function show() {
  const { view, id, asked } = route();
  const isCopies = view === "copies";
  find("search-view").hidden = isCopies;
  find("copies-view").hidden = !isCopies;
  for (const link of document.querySelectorAll("[data-view]")) {
    const own = link.dataset.view === (isCopies ? "copies" : "search");
    if (own) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  const variant = variants.find((one) => one.name === asked.get("variant")) ?? variants[0];
  if (!variant) return;
  const kept = asked.has("variant") ? `?${new URLSearchParams({ variant: variant.name })}` : "";
  document.querySelector(".brand").href = find("clear").href = `#/${kept}`;
  document.querySelector('[data-view="search"]').href = `#/${kept}`;
  document.querySelector('[data-view="copies"]').href = `#/copies${kept}`;
  find("variant").value = variant.name;
  find("copies-count").textContent = variant.groups.duplicates ? variant.groups.duplicates.toLocaleString("en") : "";
  if (isCopies) {
    const usual = variant.groups.duplicates === null && variant.groups.leaks !== null ? "leaks" : "duplicates";
    showCopies(variant, asked.get("kind") ?? usual, search);
    return;
  }
  const text = asked.get("filter") ?? "";
  const filter = condition(text);
  const k = Number(asked.get("k")) || USUAL_K;
  const least = Number(asked.get("least")) || 0;
  if (document.activeElement !== find("filter")) find("filter").value = text;
  say("filter-sql", filter && filter !== text.trim() ? filter : "");
  find("k").value = k;
  find("k-value").textContent = k;
  find("least").value = least;
  find("least-value").textContent = least.toFixed(2);
  let query = null;
  if (view === "like" && /^\d+$/.test(id)) query = { id: Number(id) };
  if (view === "upload" && upload) query = upload;
  showPictures({ variant, k, least, filter, query }, search);
}

function takeFile(file) {
  if (!file) return;
  if (upload) URL.revokeObjectURL(upload.url);
  upload = { file, url: URL.createObjectURL(file) };
  go("/upload");
}

async function learnVariants() {
  const before = JSON.stringify(variants);
  let found;
  try {
    found = await ask("variants");
  } catch (error) {
    if (!variants.length) say("trouble", error.message);
    return;
  }
  variants = found.variants;
  document.title = `${found.output} · lookalike`;
  find("variant").replaceChildren(...variants.map((one) => make("option", { value: one.name }, `${one.name} (${one.pictures.toLocaleString("en")})`)));
  find("variant").closest("label").hidden = variants.length < 2;
  if (!variants.length) {
    const problems = Object.values(found.problems);
    const code = make("code", {}, "lookalike index OUT");
    find("search-view").hidden = false;
    find("grid").replaceChildren(make("p", { className: "empty" }, make("b", {}, problems[0] ?? "There is no index yet"), "It is shown here as soon as it is built: ", code));
  } else if (JSON.stringify(variants) !== before) show();
}

function later(work, wait_ms) {
  let timer = 0;
  return (...given) => {
    clearTimeout(timer);
    timer = setTimeout(() => work(...given), wait_ms);
  };
}

const changeFilter = later(() => go(null, { filter: find("filter").value }, { replace: true }), 350);
const changeK = later(() => go(null, { k: find("k").value }, { replace: true }), 200);
const keepLeast = later(() => history.replaceState(null, "", address(null, { least: find("least").value })), 300);
find("filter").oninput = changeFilter;
find("k").oninput = () => {
  find("k-value").textContent = find("k").value;
  changeK();
};
find("least").oninput = () => {
  const least = Number(find("least").value);
  find("least-value").textContent = least.toFixed(2);
  showLeast(least);
  keepLeast();
};
find("variant").onchange = () => {
  const isOwn = route().view === "like"; // ids are those of one index
  go(isOwn ? "/" : null, { variant: find("variant").value });
};
for (const button of find("copies-kind").children) {
  button.onclick = () => go(null, { kind: button.dataset.kind });
}
const choose = () => find("file").click();
find("drop").onclick = choose;
find("another").onclick = choose;
find("file").onchange = () => {
  takeFile(find("file").files[0]);
  find("file").value = "";
};
find("help-button").onclick = () => find("help").showModal();

let dragged = 0;
addEventListener("dragenter", () => document.body.classList.toggle("dragging", ++dragged > 0));
addEventListener("dragleave", () => document.body.classList.toggle("dragging", --dragged > 0));
addEventListener("dragover", (event) => event.preventDefault());
addEventListener("drop", (event) => {
  event.preventDefault();
  dragged = 0;
  document.body.classList.remove("dragging");
  takeFile(event.dataTransfer.files[0]);
});
addEventListener("paste", (event) => takeFile(event.clipboardData?.files[0]));
addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
  const target = event.target;
  if (target.matches("input, select")) {
    if (event.key === "Escape") target.blur();
    return;
  }
  const pick = target.matches(".pick") ? target : null;
  if (event.key.startsWith("Arrow") && moveFocus(event.key, pick)) event.preventDefault();
  else if (event.key === " " && pick) {
    event.preventDefault();
    enlargeFocused(pick);
  } else if ((event.key === "Enter" || event.key === " ") && target === find("drop")) choose();
  else if (event.key === "/") {
    event.preventDefault();
    find("filter").focus();
  } else if (event.key === "o") choose();
  else if (event.key === "g") go(route().view === "copies" ? "/" : "/copies");
  else if (event.key === "?") find("help").showModal();
  else if (event.key === "Escape" && route().view) go("/");
});
addEventListener("hashchange", show);
setInterval(() => document.visibilityState === "visible" && learnVariants(), POLL_MS);
find("search-view").hidden = false;
learnVariants();
