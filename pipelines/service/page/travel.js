// The way there and back: one history entry a view, and one for the preview over it; each remembers its place.

import { changedAddress } from "./address.js";
import { place, start } from "./places.js";

const KEPT = 50;
const STORED = "lookalike-places";
const places = new Map(JSON.parse(sessionStorage.getItem(STORED) ?? "[]"));
const newKey = () => `${Date.now().toString(36)}-${Math.random().toString(36).slice(2)}`;

let show = null; // what is called with the place to go to
let here = null; // the entry that is shown: { key, hash }
let leaving = null; // settled when the way back out of the preview is done

export function startTravel(shown) {
  show = shown;
  history.scrollRestoration = "manual";
  addEventListener("popstate", arrive);
  addEventListener("hashchange", arrive);
  addEventListener("pagehide", () => {
    remember();
    sessionStorage.setItem(STORED, JSON.stringify([...places].slice(-KEPT)));
  });
  arrive();
  leavePreview(); // what it showed is gone with a reload
}

// path: null for the same. A replaced entry is not one of its own on the way back.
export function go(path, changes = {}, { replace = false } = {}) {
  if (leaving) {
    leaving.then(() => go(path, changes, { replace }));
    return;
  }
  const hash = changedAddress(path, changes);
  remember();
  const isNew = !replace && hash !== location.hash;
  const key = isNew ? newKey() : here.key;
  if (isNew && !history.state.preview) history.pushState({ key }, "", hash);
  else history.replaceState({ key }, "", hash);
  here = { key, hash: location.hash };
  closeDialogs();
  show(start());
}

// Changes the address alone.
export function note(changes) {
  history.replaceState(history.state, "", changedAddress(null, changes));
  here.hash = location.hash;
}

export const currentKey = () => here.key;

export function enterPreview() {
  if (leaving) leaving.then(enterPreview);
  else if (!history.state.preview) history.pushState({ key: here.key, preview: true }, "", location.hash);
}

export function leavePreview() {
  if (leaving || !history.state.preview) return;
  leaving = new Promise((done) => addEventListener("popstate", done, { once: true })).then(() => (leaving = null));
  history.back();
}

function arrive() {
  const known = history.state?.key;
  if (here !== null && known === here.key && location.hash === here.hash) return; // the preview came or went
  remember();
  if (!known) history.replaceState({ key: newKey() }, "");
  here = { key: history.state.key, hash: location.hash };
  closeDialogs();
  show((known && places.get(known)) || start());
}

function remember() {
  const now = here && place();
  if (!now) return;
  places.delete(here.key);
  places.set(here.key, now);
}

function closeDialogs() {
  for (const id of ["preview", "help"]) document.getElementById(id).close();
}
