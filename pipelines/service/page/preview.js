// A picture large, beside what it is compared with.

import { facts, fileName, find, goneNote, make } from "./elements.js";
import { thumbnail } from "./service.js";
import { currentKey, enterPreview, leavePreview } from "./travel.js";

const SIDE = 1400;
let shown = null;
let timer = 0;

// entries: what can be stepped through; each a picture and a caption. beside: what it is compared with.
export function openPreview(variant, entries, place, beside, search) {
  shown = { variant, entries, place, beside, search, key: currentKey() };
  show();
  enterPreview();
}

function show() {
  render();
  if (!find("preview").open) find("preview").showModal();
}

function render() {
  const { variant, entries, place, beside } = shown;
  const { picture, caption } = entries[place];
  const panes = [];
  if (beside && beside.picture?.id !== picture.id) panes.push(pane(variant, beside));
  panes.push(pane(variant, { picture, caption }));
  find("panes").replaceChildren(...panes);
  find("previous").disabled = place === 0;
  find("next").disabled = place === entries.length - 1;
  find("search-this").disabled = picture.id === null;
}

function pane(variant, { picture, caption, url }) {
  const source = url ?? (picture.id === null ? null : thumbnail(variant, picture, SIDE));
  const image = source === null ? goneNote("not in the index now") : make("img", { src: source, alt: caption });
  image.onerror = () => image.replaceWith(goneNote(url ? "cannot be shown" : "cannot be read now"));
  const name = picture ? fileName(picture.uri) : caption;
  const title = name === caption ? name : `${caption} · ${name}`;
  const about = picture ? `${facts(picture)} · ${picture.uri}` : "";
  const text = make("figcaption", { title: picture?.uri ?? name }, make("b", {}, title), make("span", {}, about));
  return make("figure", { className: "pane" }, image, text);
}

export function step(by) {
  const place = shown.place + by;
  if (place < 0 || place >= shown.entries.length) return;
  shown.place = place;
  render();
}

find("previous").onclick = () => step(-1);
find("next").onclick = () => step(1);
find("close-preview").onclick = () => find("preview").close();
find("preview").onclose = leavePreview;
find("search-this").onclick = () => {
  find("preview").onclose = null; // the search takes the place of the preview, on the way back too
  find("preview").close();
  shown.search(shown.entries[shown.place].picture);
  setTimeout(() => (find("preview").onclose = leavePreview));
};
find("copy-path").onclick = async () => {
  const { uri } = shown.entries[shown.place].picture;
  try {
    await navigator.clipboard.writeText(uri);
    find("copy-path").textContent = "Copied";
  } catch {
    window.prompt("The path of the picture", uri);
  }
  clearTimeout(timer);
  timer = setTimeout(() => (find("copy-path").textContent = "Copy path"), 1500);
};
// Back closes it, forward opens it again where what it showed is still there.
addEventListener("popstate", ({ state }) => {
  if (!state?.preview) find("preview").close();
  else if (shown?.key === state.key) show();
  else history.replaceState({ key: state.key }, "");
});
find("preview").addEventListener("keydown", (event) => {
  if (event.key === "ArrowRight") step(1);
  if (event.key === "ArrowLeft") step(-1);
});
