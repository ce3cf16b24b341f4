// What the keys of the keyboard do.

import { readAddress } from "./address.js";
import { find, moveFocus } from "./elements.js";
import { enlargeFocused } from "./search.js";
import { go } from "./travel.js";

addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
  const { target, key } = event;
  if (target.matches("input, select")) {
    if (key === "Escape") target.blur();
    return;
  }
  const pick = target.matches(".pick") ? target : null;
  const choose = () => find("file").click();
  if (key.startsWith("Arrow") && moveFocus(key, pick)) event.preventDefault();
  else if (key === " " && pick) {
    event.preventDefault();
    enlargeFocused(pick);
  } else if ((key === "Enter" || key === " ") && target === find("drop")) choose();
  else if (key === "/") {
    event.preventDefault();
    find("filter").focus();
  } else if (key === "o") choose();
  else if (key === "g") go(readAddress().view === "copies" ? "/" : "/copies");
  else if (key === "?") find("help").showModal();
  else if (key === "Escape" && readAddress().view !== "") go("/");
});
