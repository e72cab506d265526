// Pages that renew themselves while a run goes on: pausing, and saying what has changed.
"use strict";
(() => {
  const says = document.querySelector("[data-live-says]");
  const button = document.querySelector("[data-live-pause]");
  let isPaused = false;
  let said = document.getElementById("live")?.dataset.says ?? "";

  const bar = () => document.getElementById("live");
  const isLive = () => Boolean(bar()?.hasAttribute("hx-get"));
  const say = (text) => {
    if (says) says.textContent = text;
  };

  const show = () => {
    if (button) {
      button.hidden = !isLive();
      button.setAttribute("aria-pressed", String(isPaused));
      button.textContent = isPaused ? "Go on" : "Pause";
    }
    bar()?.classList.toggle("paused", isPaused);
  };

  button?.addEventListener("click", () => {
    isPaused = !isPaused;
    say(isPaused ? "Paused" : "Following again");
    show();
  });

  // A tab that nobody looks at asks for nothing.
  document.body.addEventListener("htmx:beforeRequest", (event) => {
    if (event.detail.elt === bar() && (isPaused || document.hidden)) event.preventDefault();
  });
  const failed = (event) => {
    if (event.detail.elt !== bar()) return;
    bar().classList.add("broken");
    say("The viewer does not answer; asking again");
  };
  document.body.addEventListener("htmx:sendError", failed);
  document.body.addEventListener("htmx:responseError", failed);
  document.body.addEventListener("htmx:afterRequest", (event) => {
    if (event.detail.successful) bar()?.classList.remove("broken");
    const now = bar()?.dataset.says ?? "";
    if (now && now !== said) {
      said = now;
      say(now);
    }
    show();
  });

  // A list that is renewed under its reader keeps the boxes that were ticked, and the focus.
  let ticked = [];
  let focused = null;
  const rowOf = (id) => [...document.querySelectorAll("tr[data-run]")].find((each) => each.dataset.run === id);
  document.body.addEventListener("htmx:beforeSwap", (event) => {
    if (event.detail.requestConfig?.elt !== bar()) return;
    ticked = [...document.querySelectorAll("tr[data-run] input:checked")].map((each) => each.value);
    const at = document.activeElement;
    const row = at?.closest("tr[data-run]");
    focused = row && { run: row.dataset.run, selector: at.matches("input") ? "input" : "a" };
  });
  document.body.addEventListener("htmx:afterSwap", () => {
    for (const id of ticked) {
      const box = rowOf(id)?.querySelector("input");
      if (box) box.checked = true;
    }
    if (focused) rowOf(focused.run)?.querySelector(focused.selector)?.focus();
    ticked = [];
    focused = null;
  });

  show();
})();
