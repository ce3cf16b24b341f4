// Small pieces of the page.

import { thumbnail } from "./service.js";

const SIDE = window.devicePixelRatio > 1.3 ? 512 : 320;

export const find = (id) => document.getElementById(id);

export function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children.filter((child) => child !== null));
  return element;
}

export function say(id, text) {
  find(id).textContent = text;
  find(id).hidden = text === "";
}

export const fileName = (uri) => uri.replace(/\/+$/, "").split("/").pop();

export const count = (number, one, many = `${one}s`) =>
  `${number.toLocaleString("en")} ${number === 1 ? one : many}`;

export function size(bytes) {
  if (bytes < 1000) return `${bytes} B`;
  return bytes < 1e6 ? `${(bytes / 1e3).toFixed(0)} KB` : `${(bytes / 1e6).toFixed(1)} MB`;
}

export const facts = (picture) =>
  `${picture.width} × ${picture.height}, ${size(picture.bytes)}`;

// A picture as wide as it is, in a row of given height. `choose` and `enlarge` are what it is for.
export function card(variant, picture, { choose, enlarge, score = null, own = false }) {
  const ratio = Math.min(Math.max(picture.width / picture.height, 0.6), 2.4);
  const name = fileName(picture.uri);
  const told = score === null ? name : `${name}, score ${score.toFixed(3)}`;
  const pick = make("button", { className: "pick", title: picture.uri, ariaLabel: `Find what is like ${told}` });
  pick.onclick = choose;
  const whole = make("div", { className: own ? "card own" : "card" }, pick);
  whole.setAttribute("role", "listitem");
  whole.style.flex = `${ratio} 1 calc(var(--row) * ${ratio})`;
  whole.style.width = `calc(var(--row) * ${ratio})`;
  whole.style.maxWidth = `calc(var(--row) * ${ratio * 1.5})`;
  whole.dataset.uri = picture.uri;
  if (picture.id === null) {
    pick.append(goneNote("not in the index now"));
    pick.disabled = true;
    whole.classList.add("gone");
  } else {
    const image = make("img", { alt: "", loading: "lazy", decoding: "async", className: "waiting" });
    image.onload = () => image.classList.remove("waiting");
    image.onerror = () => {
      image.replaceWith(goneNote("cannot be read now"));
      whole.classList.add("gone");
    };
    image.src = thumbnail(variant, picture, SIDE);
    pick.append(image);
    const large = make("button", { className: "large", title: "Large (Space)", ariaLabel: `See ${name} large` }, "⤢");
    large.tabIndex = -1;
    large.onclick = enlarge;
    whole.append(large);
  }
  pick.append(make("span", { className: "name" }, name));
  if (score !== null) {
    pick.append(make("span", { className: score > 0.995 ? "score top" : "score" }, score.toFixed(3)));
  }
  return whole;
}

export const goneNote = (text) => make("span", { className: "gone-note" }, text);

// Arrow keys go from picture to picture, as they stand on the screen.
export function moveFocus(key, from) {
  const all = [...document.querySelectorAll("main:not([hidden]) .pick:not(:disabled)")];
  if (!all.length) return false;
  if (!from) {
    all[0].focus();
    return true;
  }
  const place = all.indexOf(from);
  if (key === "ArrowRight" || key === "ArrowLeft") {
    all[place + (key === "ArrowRight" ? 1 : -1)]?.focus();
    return true;
  }
  const down = key === "ArrowDown";
  const here = from.getBoundingClientRect();
  const middle = here.left + here.width / 2;
  let best = null;
  for (const other of all) {
    const box = other.getBoundingClientRect();
    const away = down ? box.top - here.top : here.top - box.top;
    if (away < 8) continue;
    const distance = away * 4 + Math.abs(box.left + box.width / 2 - middle);
    if (best === null || distance < best.distance) best = { other, distance };
  }
  best?.other.focus();
  return true;
}
