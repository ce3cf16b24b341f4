// The service's answers; where it asks for a token, the user is asked.

import { askToken } from "./token.js";

// Troubles that may be over when the service answers again.
export const PASSING = new Set(["unreachable", "unknown", "too_busy", "no_index"]);

export class Trouble extends Error {
  constructor(code, message) {
    super(message);
    this.code = code;
  }
}

export async function ask(path, options = {}) {
  let response;
  let answer;
  try {
    response = await fetch(path, options);
    answer = await response.json().catch((error) => {
      if (error.name === "AbortError") throw error;
      return {};
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Trouble("unreachable", "The service does not answer. Is it still running?");
  }
  if (response.status === 401) {
    await askToken();
    return ask(path, options);
  }
  if (!response.ok) {
    const error = answer.error ?? { code: "unknown", message: `The service answered ${response.status}.` };
    throw new Trouble(error.code, error.message);
  }
  return answer;
}

// The version is of the picture's file, where the service tells it: another one is another thumbnail.
export function thumbnail(variant, { id, version }, side) {
  const asked = new URLSearchParams({ variant, side });
  if (version) asked.set("version", version);
  return `thumbnails/${id}?${asked}`;
}
