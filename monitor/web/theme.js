// The theme, before anything is painted: what was chosen here, or what the system prefers. A classic script, because a
// module would come too late. Sets data-theme on <html> and tells the page by a "themechange" event.
(function () {
  "use strict";
  const KEY = "freshet-theme";
  const CHOICES = ["auto", "light", "dark"];
  const system = window.matchMedia("(prefers-color-scheme: dark)");

  function choice() {
    try {
      const kept = localStorage.getItem(KEY);
      return CHOICES.includes(kept) ? kept : "auto";
    } catch {
      return "auto"; // storage may be forbidden
    }
  }

  function keep(name) {
    try {
      localStorage.setItem(KEY, name);
    } catch {
      current = name; // then it holds for this visit
    }
  }

  let current = choice();

  function apply() {
    const dark = current === "dark" || (current === "auto" && system.matches);
    document.documentElement.dataset.theme = dark ? "dark" : "light";
    const button = document.getElementById("theme");
    if (button) button.textContent = `Theme: ${current}`;
    document.dispatchEvent(new Event("themechange"));
  }

  function next() {
    current = CHOICES[(CHOICES.indexOf(current) + 1) % CHOICES.length];
    keep(current);
    apply();
  }

  apply();
  system.addEventListener("change", apply);
  document.addEventListener("DOMContentLoaded", () => {
    document.getElementById("theme").addEventListener("click", next);
    apply();
  });
})();
