// The page: which half is shown, as the address says (#call, #log, #log=FILE for a log beside the page).

import * as call from "./call.js";
import * as log from "./log.js";
import { byId } from "./dom.js";

function route() {
  const [half, file] = decodeURIComponent(location.hash.slice(1)).split(/=(.*)/s);
  const shown = half === "log" ? "log" : "call";
  for (const name of ["call", "log"]) {
    byId(name).hidden = name !== shown;
    byId(`nav-${name}`).toggleAttribute("aria-current", name === shown);
    if (name === shown) byId(`nav-${name}`).setAttribute("aria-current", "page");
  }
  document.title = shown === "log" ? "Open a log – Tollgate X-ray" : "Open a call – Tollgate X-ray";
  if (shown === "log" && file) log.openBeside(file);
}

call.start();
log.start();
addEventListener("hashchange", route);
route();
