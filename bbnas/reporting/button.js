"use strict";
// The button that changes the theme, which the browser remembers.
(() => {
  const button = document.getElementById("theme");
  const show = () => {
    button.setAttribute("aria-pressed", String(document.documentElement.dataset.theme === "dark"));
  };
  button.addEventListener("click", () => {
    const next = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
    try { localStorage.setItem("bbnas-theme", next); } catch { /* a browser may keep nothing */ }
    window.bbnasTheme(next);
  });
  document.addEventListener("theme", show);
  show();
})();
