// What is searched for, beside what is found: a picture of the set, or one of the user's.

import { facts, fileName, find } from "./elements.js";
import { ask, thumbnail } from "./service.js";

const SIDE = 640;

// query: null, { id } (which is given its `picture`), or { file, url }.
export async function showQuery(query, variant, signal) {
  const isNone = query === null;
  find("drop").classList.toggle("filled", !isNone);
  find("query-facts").hidden = find("sliders").hidden = isNone;
  find("query-gone").hidden = true;
  find("query-picture").hidden = isNone;
  if (isNone) return;
  find("query-name").title = "";
  find("query-name").textContent = query.file ? query.file.name || "your picture" : "";
  if (query.file) {
    find("query-picture").src = query.url;
    return;
  }
  try {
    const { pictures } = await ask(`pictures/${query.id}?${new URLSearchParams({ variant })}`, { signal });
    if (signal.aborted) return;
    [query.picture] = pictures;
  } catch {
    if (!signal.aborted) cannotBeShown(); // the search tells what is wrong
    return;
  }
  const { picture } = query;
  find("query-picture").src = thumbnail(variant, picture, SIDE);
  find("query-name").textContent = `${fileName(picture.uri)}, ${facts(picture)}`;
  find("query-name").title = picture.uri;
}

function cannotBeShown() {
  find("query-picture").hidden = true;
  find("query-gone").hidden = !find("drop").classList.contains("filled");
}

find("query-picture").onerror = cannotBeShown;
