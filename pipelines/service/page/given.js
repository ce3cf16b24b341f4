// A picture of the user's, chosen, dropped or pasted -> a search with it.

import { find } from "./elements.js";
import { go } from "./travel.js";
import { keepUpload } from "./uploads.js";

function take(file) {
  if (file) go(`/upload/${keepUpload(file)}`);
}

export const choosePicture = () => find("file").click();
find("drop").onclick = choosePicture;
find("another").onclick = choosePicture;
find("file").onchange = () => {
  take(find("file").files[0]);
  find("file").value = "";
};

let dragged = 0;
addEventListener("dragenter", () => document.body.classList.toggle("dragging", ++dragged > 0));
addEventListener("dragleave", () => document.body.classList.toggle("dragging", --dragged > 0));
addEventListener("dragover", (event) => event.preventDefault());
addEventListener("drop", (event) => {
  event.preventDefault();
  dragged = 0;
  document.body.classList.remove("dragging");
  take(event.dataTransfer.files[0]);
});
addEventListener("paste", (event) => take(event.clipboardData?.files[0]));
