// The address <-> what is asked for: #/ (all pictures), #/like/ID, #/upload/NUMBER, #/copies; then
// variant, k, least, filter, as (how the filter is read), kind (of copies).

const USUAL_K = 40;
const MOST_K = 200;
const VIEWS = new Set(["", "like", "upload", "copies"]);

function parts() {
  const text = location.hash.replace(/^#/, "");
  const end = text.includes("?") ? text.indexOf("?") : text.length;
  return { path: text.slice(0, end) || "/", given: new URLSearchParams(text.slice(end + 1)) };
}

function bounded(text, least, most, usual) {
  const number = Number(text);
  return !text?.trim() || Number.isNaN(number) ? usual : Math.min(Math.max(number, least), most);
}

// Whatever is out of bounds is brought into them; view is null where there is no such view.
export function readAddress() {
  const { path, given } = parts();
  const [, view, id = ""] = path.split("/");
  return {
    path,
    view: VIEWS.has(view) ? view : null,
    id: /^\d{1,15}$/.test(id) ? Number(id) : null,
    variant: given.get("variant"),
    k: Math.round(bounded(given.get("k"), 1, MOST_K, USUAL_K)),
    least: bounded(given.get("least"), 0, 1, 0),
    filter: given.get("filter") ?? "",
    as: given.get("as"),
    kind: given.get("kind"),
  };
}

// The address of another path (null: of this one), with some of what is asked for changed.
export function changedAddress(path, changes) {
  const { path: own, given } = parts();
  for (const [name, value] of Object.entries(changes)) {
    if (value === null || value === "") given.delete(name);
    else given.set(name, value);
  }
  const text = given.toString();
  return `#${path ?? own}${text && `?${text}`}`;
}
