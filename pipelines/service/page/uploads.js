// The user's own pictures, the last dozen, each with a number.

const KEPT = 12;
const LAST = "lookalike-last-upload"; // a number is not given twice in a tab, reloaded or not
const uploads = new Map();

export function keepUpload(file) {
  const number = Number(sessionStorage.getItem(LAST) ?? 0) + 1;
  sessionStorage.setItem(LAST, number);
  uploads.set(number, { number, file, url: URL.createObjectURL(file) });
  for (const [old, { url }] of uploads) {
    if (uploads.size <= KEPT) break;
    URL.revokeObjectURL(url);
    uploads.delete(old);
  }
  return number;
}

// Undefined where it is gone: with a reload, or for a dozen others.
export const uploadOf = (number) => uploads.get(number);
