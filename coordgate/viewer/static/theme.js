// Loaded before anything is painted: the theme that was chosen last, if one was. And for what is
// drawn on a canvas, the page's colours as they are in that theme: `pageColour("--line")`.
"use strict";
(() => {
  try {
    const theme = localStorage.getItem("coordgate-theme");
    if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
  } catch {
    // Storage may be forbidden; the system's theme is shown then.
  }

  window.pageColour = (name) => {
    const probe = document.createElement("span");
    probe.style.color = `var(${name})`;
    document.body.append(probe);
    const colour = getComputedStyle(probe).color;
    probe.remove();
    return colour;
  };
})();
