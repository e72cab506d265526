// Loaded before anything is painted: the theme that was chosen last, if one was.
"use strict";
(() => {
  try {
    const theme = localStorage.getItem("coordgate-theme");
    if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
  } catch {
    // Storage may be forbidden; the system's theme is shown then.
  }
})();
