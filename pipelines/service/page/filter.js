// What stands in the filter box -> an SQL condition, and how it was read: as words, or as a condition.

const COLUMN = '"?\\b(?:uri|width|height|bytes|format|modified|id|content_hash)\\b"?';
const COMPARED = "(?:=|<>|!=|<=?|>=?)";
const WORDED = "(?:not\\s+)?(?:i?like\\s+'|in\\s*\\(|between\\s+\\S+\\s+and\\b)|is\\s+(?:not\\s+)?null\\b";
const CONDITION = new RegExp(
  [
    `${COLUMN}\\s*${COMPARED}`, // width >= 800
    `${COLUMN}\\s+(?:${WORDED})`, // uri like '%/cats/%'
    `${COMPARED}\\s*${COLUMN}`, // 800 <= width
    `\\b\\w+\\(\\s*${COLUMN}\\s*[,)]`, // contains(uri, 'cats')
  ].join("|"),
  "i",
);

// `as` is "words" or "condition" where the user says which; otherwise what it looks like decides.
export function readFilter(text, as) {
  const trimmed = text.trim();
  if (!trimmed) return { condition: "", isWords: true, words: [] };
  const isWords = as === "words" || (as !== "condition" && !CONDITION.test(trimmed));
  const words = trimmed.split(/\s+/);
  return { condition: isWords ? words.map(contains).join(" and ") : trimmed, isWords, words };
}

const contains = (word) => `contains(lower(uri), '${word.toLowerCase().replaceAll("'", "''")}')`;
