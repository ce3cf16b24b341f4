// The token that the service asks for: asked of the user, kept in a cookie.

let asking = null;

// Settled when the user has given one; until then the dialog stays, however often Escape is pressed.
export function askToken() {
  asking ??= new Promise((resolve) => {
    const dialog = document.getElementById("token-dialog");
    const form = document.getElementById("token-form");
    const input = document.getElementById("token");
    const had = document.cookie.includes("lookalike_token=");
    document.getElementById("token-trouble").textContent = had ? "That was not the token." : "";
    dialog.oncancel = (event) => event.preventDefault();
    // A browser lets a page refuse to close a dialog only once in a row.
    dialog.onclose = () => asking && !dialog.open && dialog.showModal();
    form.onsubmit = (event) => {
      event.preventDefault();
      const secure = location.protocol === "https:" ? "; Secure" : "";
      document.cookie = `lookalike_token=${encodeURIComponent(input.value)}; Path=/; SameSite=Strict${secure}`;
      input.value = "";
      asking = null;
      dialog.close();
      resolve();
    };
    dialog.showModal();
  });
  return asking;
}
