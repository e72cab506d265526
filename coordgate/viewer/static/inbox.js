// Keeps the name of who answers, and lets a form be sent once. Everything works without it, too.
"use strict";
(() => {
  const form = document.querySelector("[data-answer]");
  if (!form) return;
  const by = form.querySelector("[data-by]");
  try {
    by.value ||= localStorage.getItem("coordgate-by") ?? "";
  } catch {
    // Storage may be forbidden; the name is then typed each time.
  }
  form.addEventListener("submit", (event) => {
    if (form.dataset.sent) {
      event.preventDefault();
      return;
    }
    form.dataset.sent = "1";
    form.querySelector("button.main").textContent = "Sending…";
    try {
      localStorage.setItem("coordgate-by", by.value);
    } catch {
      // As above.
    }
  });
  // Back from the next page, it may be sent again; what was answered is told then.
  addEventListener("pageshow", () => {
    delete form.dataset.sent;
    form.querySelector("button.main").textContent = "Answer";
  });
})();
