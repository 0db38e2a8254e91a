"use strict";
// The theme before anything is painted: the one chosen on these pages, else that of the system.
(() => {
  let kept = null;
  try { kept = localStorage.getItem("bbnas-theme"); } catch { /* a browser may keep nothing */ }
  const asked = new URLSearchParams(location.search).get("theme");
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const known = [asked, kept].find((name) => name === "light" || name === "dark");
  const set = (name) => {
    document.documentElement.dataset.theme = name;
    document.dispatchEvent(new CustomEvent("theme", { detail: name }));
  };
  set(known ?? (dark.matches ? "dark" : "light"));
  if (!known) dark.addEventListener("change", () => set(dark.matches ? "dark" : "light"));
  window.bbnasTheme = set;
})();
