// Where one is in a list: how much of it is there, what stands at the top of the screen, what has the focus.

const BAR = 60; // pixels that the bar covers
const ITEMS = "main:not([hidden]) :is(.grid > .card, .group)";

const focusedCard = () => document.activeElement?.closest(".card");

// Null where nothing is shown yet.
export function place() {
  const items = [...document.querySelectorAll(ITEMS)];
  if (!items.length || document.querySelector("main:not([hidden]) .stale")) return null;
  const first = items.findIndex((one) => one.getBoundingClientRect().bottom > BAR);
  return {
    count: items.length,
    first: scrollY > 0 ? first : -1,
    top: first < 0 ? 0 : items[first].getBoundingClientRect().top,
    uri: focusedCard()?.dataset.uri ?? null,
  };
}

// Where a list starts that is new: at its top, and on its first picture if one came from a picture.
export const start = () => ({ count: 0, first: -1, top: 0, uri: null, isFirst: Boolean(focusedCard()) });

export function moveTo({ first, top, uri, isFirst }) {
  const focused = document.activeElement;
  if (focused === document.body || !focused?.checkVisibility()) {
    const picks = [...document.querySelectorAll("main:not([hidden]) .card:not([hidden]) .pick:not(:disabled)")];
    const own = isFirst ? picks[0] : uri && picks.find((pick) => pick.parentElement.dataset.uri === uri);
    if (own) own.focus({ preventScroll: true });
  }
  const item = first < 0 ? null : document.querySelectorAll(ITEMS)[first];
  if (!item) {
    scrollTo(0, 0);
    return;
  }
  // Twice: what comes into sight is laid out as it is, and not as it was estimated.
  const move = () => scrollBy({ top: item.getBoundingClientRect().top - top, behavior: "instant" });
  move();
  requestAnimationFrame(move);
}
