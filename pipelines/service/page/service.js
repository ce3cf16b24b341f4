// The service's answers; where it asks for a token, the user is asked.

export class Trouble extends Error {
  constructor(code, message) {
    super(message);
    this.code = code;
  }
}

export async function ask(path, options = {}) {
  let response;
  try {
    response = await fetch(path, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Trouble("unreachable", "The service does not answer. Is it still running?");
  }
  if (response.status === 401) {
    await askToken();
    return ask(path, options);
  }
  const answer = await response.json().catch(() => ({}));
  if (!response.ok) {
    const error = answer.error ?? { code: "unknown", message: `The service answered ${response.status}.` };
    throw new Trouble(error.code, error.message);
  }
  return answer;
}

export function thumbnail(variant, id, side) {
  return `thumbnails/${id}?${new URLSearchParams({ variant, side })}`;
}

let asking = null;

function askToken() {
  asking ??= new Promise((resolve) => {
    const dialog = document.getElementById("token-dialog");
    const form = document.getElementById("token-form");
    const input = document.getElementById("token");
    const had = document.cookie.includes("lookalike_token=");
    document.getElementById("token-trouble").textContent = had ? "That was not the token." : "";
    dialog.oncancel = (event) => event.preventDefault();
    form.onsubmit = (event) => {
      event.preventDefault();
      const secure = location.protocol === "https:" ? "; Secure" : "";
      document.cookie = `lookalike_token=${encodeURIComponent(input.value)}; Path=/; SameSite=Strict${secure}`;
      input.value = "";
      dialog.close();
      asking = null;
      resolve();
    };
    dialog.showModal();
  });
  return asking;
}
