// What all pages do by themselves: the theme, the keys. Everything works without it, too.
"use strict";
(() => {
  const root = document.documentElement;

  const isDark = () =>
    root.dataset.theme
      ? root.dataset.theme === "dark"
      : matchMedia("(prefers-color-scheme: dark)").matches;

  for (const button of document.querySelectorAll("[data-theme-toggle]")) {
    button.hidden = false;
    button.addEventListener("click", () => {
      root.dataset.theme = isDark() ? "light" : "dark";
      try {
        localStorage.setItem("coordgate-theme", root.dataset.theme);
      } catch {
        // It is then chosen for this page only.
      }
      document.dispatchEvent(new CustomEvent("themechange"));
    });
  }
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () =>
    document.dispatchEvent(new CustomEvent("themechange")),
  );

  const keys = document.getElementById("keys");
  const showKeys = () => keys.showModal();
  for (const button of document.querySelectorAll("[data-keys-toggle]")) {
    button.hidden = false;
    button.addEventListener("click", showKeys);
  }

  // The items of a list are what j and k go through: links or buttons marked `data-item`.
  const step = (by) => {
    const items = [...document.querySelectorAll("[data-item]")].filter((each) => each.offsetParent);
    if (!items.length) return;
    const at = items.indexOf(document.activeElement);
    const next = at < 0 ? (by > 0 ? 0 : items.length - 1) : at + by;
    const item = items[Math.max(0, Math.min(items.length - 1, next))];
    item.focus();
    item.scrollIntoView({ block: "nearest" });
  };

  const isInList = () => document.activeElement.matches("[data-item]");

  const actions = {
    j: () => step(1),
    k: () => step(-1),
    ArrowDown: () => step(1),
    ArrowUp: () => step(-1),
    x: () => document.activeElement.closest("tr")?.querySelector("[type=checkbox]")?.click(),
    g: () => document.querySelector("a.brand").click(),
    "?": showKeys,
    "/": () => document.querySelector("[data-search]")?.focus(),
  };

  // A search that goes on by itself can be stopped.
  const showStops = () => {
    for (const each of document.querySelectorAll("[data-stop]")) each.hidden = false;
  };
  showStops();
  document.addEventListener("htmx:afterSwap", showStops);
  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-stop]");
    if (!button) return;
    htmx.trigger(button.closest("[hx-get]"), "htmx:abort");
    button.remove();
  });

  const isTyping = (target) =>
    target.isContentEditable || ["INPUT", "TEXTAREA", "SELECT"].includes(target.tagName);

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || keys.open) return;
    if (isTyping(event.target)) {
      if (event.key === "Escape") event.target.blur();
      return;
    }
    const action = actions[event.key];
    if (!action || (event.key.startsWith("Arrow") && !isInList())) return;
    event.preventDefault();
    action();
  });
})();
