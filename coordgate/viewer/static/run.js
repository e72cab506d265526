// The page of a run: draws the graph, and keeps list, graph and panel on the same transition.
"use strict";
(() => {
  const box = document.getElementById("graph");
  const panel = document.getElementById("panel");
  const list = document.getElementById("transitions");
  const legend = document.getElementById("legend");
  const note = document.getElementById("graph-note");
  const says = document.getElementById("graph-says");
  const isWide = matchMedia("(min-width: 60rem)");
  let graph = null;
  let drawn = "";
  let opener = null;

  // dagre keeps nodes in plain objects, born with names such as "constructor"; cytoscape wants no blank id.
  const idOf = (key) => (key in {} || !key.trim() ? `=${key}` : key);

  const itemOf = (number) => document.getElementById(`t-${number}`);
  const shownNow = () => panel.querySelector("article[data-number]");

  // The transition in the panel, marked in the list and in the graph.
  const mark = () => {
    const now = shownNow();
    for (const item of list.querySelectorAll("[aria-current]")) item.removeAttribute("aria-current");
    if (now) itemOf(now.dataset.number)?.setAttribute("aria-current", "true");
    if (!graph) return;
    graph.elements().removeClass("chosen");
    tellNode(graph.getElementById(idOf(now?.dataset.node ?? "")));
    if (!now) return;
    const number = Number(now.dataset.number);
    graph.getElementById(idOf(now.dataset.node)).addClass("chosen");
    graph.edges().filter((edge) => edge.data("numbers").includes(number)).addClass("chosen");
  };

  const open = (number) => {
    const item = itemOf(number);
    if (item) {
      item.scrollIntoView({ block: "nearest" });
      item.click();
    } else {
      const address = new URL(location.href);
      address.searchParams.set("number", number);
      for (const name of ["after", "node", "filter"]) address.searchParams.delete(name);
      location.assign(address);
    }
  };

  const signs = {};
  for (const each of legend.children) {
    signs[each.dataset.how] = each.querySelector(".how").textContent;
  }

  // What a text takes is measured with the graph's own font; cytoscape needs the number.
  const pen = document.createElement("canvas").getContext("2d");
  const font = "14px system-ui, sans-serif";
  const cut = (text) => (text.length > 28 ? `${text.slice(0, 27)}…` : text);
  const nameOf = (node) => {
    if (node.id === "__start__") return "start";
    if (node.id === "__end__") return "end";
    const visits = node.visits > 1 ? ` ×${node.visits}` : "";
    const next = node.next && node.how !== "expected" ? " ▸" : "";
    return `${signs[node.how]} ${cut(node.name)}${visits}${next}`;
  };
  const isEnd = (node) => node.id === "__start__" || node.id === "__end__";
  const count = (edge) => {
    const numbers = edge.numbers.map(String);
    if (edge.taken > 3) return `${edge.taken}×`;
    return numbers.join(", ");
  };

  // What is declared on a node, where the viewer was given the graph.
  const saysOf = (node) =>
    Object.entries(node.says)
      .map(([what, words]) => `${what} ${words}`)
      .join(" · ");
  const tellNode = (node) => {
    const words = node?.nonempty() ? node.data("says") : "";
    says.textContent = words ? `${node.data("name")}: ${words}` : "";
    says.hidden = !words;
  };

  const elementsOf = (data) => {
    pen.font = font;
    const known = new Set(data.nodes.map((node) => node.id));
    const nodes = data.nodes.map((node) => ({
      group: "nodes",
      data: {
        id: idOf(node.id),
        ...(node.parent && known.has(node.parent) ? { parent: idOf(node.parent) } : {}),
        label: nameOf(node),
        name: node.name,
        how: node.how,
        numbers: node.numbers,
        says: saysOf(node),
        width: isEnd(node) ? 44 : Math.max(48, pen.measureText(nameOf(node)).width + 26),
      },
      classes: [
        isEnd(node) ? "end" : node.how,
        node.box ? "box" : "leaf",
        node.next ? "next" : "",
        node.numbers.length ? "reached" : "",
      ].join(" "),
    }));
    const edges = data.edges
      .filter((edge) => known.has(edge.source) && known.has(edge.target))
      .map((edge, at) => ({
        group: "edges",
        data: {
          id: `edge ${at}`,
          source: idOf(edge.source),
          target: idOf(edge.target),
          label: edge.taken ? count(edge) : "",
          numbers: edge.numbers,
          wide: Math.min(4, 1.5 + Math.log2(1 + edge.taken) / 2),
        },
        classes: edge.taken ? "taken" : "open",
      }));
    return [...nodes, ...edges];
  };

  const colours = () => {
    const hows = Object.fromEntries(
      [...legend.children].map((each) => {
        const look = getComputedStyle(each.querySelector(".how"));
        return [each.dataset.how, { ink: look.color, back: look.backgroundColor }];
      }),
    );
    return { of: pageColour, hows };
  };

  const styles = () => {
    const { of, hows } = colours();
    return [
      {
        selector: "node",
        style: {
          label: "data(label)",
          shape: "round-rectangle",
          width: "data(width)",
          height: 34,
          "text-valign": "center",
          "text-halign": "center",
          "font-size": 14,
          "font-family": "system-ui, sans-serif",
          color: of("--ink"),
          "background-color": of("--card"),
          "border-width": 1.5,
          "border-color": of("--line"),
        },
      },
      ...Object.entries(hows).map(([how, look]) => ({
        selector: `node.${how}`,
        style: {
          "background-color": look.back,
          "border-color": look.ink,
          color: look.ink,
        },
      })),
      { selector: "node.failed", style: { "border-width": 3 } },
      { selector: "node.unreached, node.expected", style: { "border-style": "dashed" } },
      { selector: "node.end", style: { shape: "round-rectangle", height: 26, "font-size": 12, color: of("--soft"), "background-color": of("--sunk"), "border-color": of("--line") } },
      {
        selector: "node:parent",
        style: {
          "text-valign": "top",
          "text-margin-y": -4,
          "text-background-color": of("--card"),
          "text-background-opacity": 1,
          "text-background-padding": 2,
          "background-color": of("--sunk"),
          "background-opacity": 0.55,
          padding: 16,
        },
      },
      { selector: "node.next", style: { "border-style": "dashed", "border-width": 3, "border-color": of("--live") } },
      {
        selector: "edge",
        style: {
          width: 1.25,
          "curve-style": "bezier",
          "line-color": of("--line"),
          "target-arrow-color": of("--line"),
          "target-arrow-shape": "triangle",
          "arrow-scale": 0.9,
          "line-style": "dashed",
          "control-point-step-size": 46,
        },
      },
      {
        selector: "edge.taken",
        style: {
          width: "data(wide)",
          "line-style": "solid",
          "line-color": of("--soft"),
          "target-arrow-color": of("--soft"),
          label: "data(label)",
          "font-size": 11,
          "font-family": "system-ui, sans-serif",
          color: of("--soft"),
          "text-background-color": of("--card"),
          "text-background-opacity": 1,
          "text-background-padding": 2,
          "text-background-shape": "round-rectangle",
        },
      },
      {
        selector: "edge.back",
        style: {
          "curve-style": "unbundled-bezier",
          "control-point-distances": "data(bend)",
          "control-point-weights": 0.5,
        },
      },
      { selector: "node.chosen", style: { "border-width": 4, "border-color": of("--focus"), "border-style": "solid" } },
      { selector: "edge.chosen", style: { "line-color": of("--focus"), "target-arrow-color": of("--focus"), color: of("--focus"), width: 3 } },
    ];
  };

  // Across or down, whichever leaves the names larger; as high as that needs.
  const arrange = (across) => {
    graph
      .layout({
        name: "dagre",
        rankDir: across ? "LR" : "TB",
        nodeSep: across ? 22 : 26,
        rankSep: across ? 52 : 44,
        edgeSep: 14,
        animate: false,
        padding: 14,
        fit: false,
      })
      .run();
    // An edge that leads back would run through the nodes between its ends: it goes around them.
    for (const edge of graph.edges()) {
      const [from, to] = [edge.source().position(), edge.target().position()];
      const along = across ? to.x - from.x : to.y - from.y;
      const isBack = along < -1;
      edge.toggleClass("back", isBack);
      if (isBack) edge.data("bend", (across ? 1 : -1) * Math.min(140, 34 - along * 0.22));
    }
    const { w, h } = graph.elements().boundingBox();
    const highest = Math.max(320, Math.min(560, innerHeight * 0.65));
    return { scale: Math.min(1.15, (box.clientWidth - 28) / w, (highest - 28) / h), height: h };
  };

  const layOut = () => {
    const first = box.clientWidth > 560;
    let best = arrange(first);
    if (best.scale < 0.75) {
      const other = arrange(!first);
      best = other.scale > best.scale * 1.15 ? other : arrange(first);
    }
    box.style.height = `${Math.max(120, Math.ceil(best.height * best.scale) + 32)}px`;
    graph.resize();
    fit();
  };

  const fit = () => {
    graph.fit(undefined, 14);
    if (graph.zoom() > 1.15) {
      graph.zoom(1.15);
      graph.center();
    }
  };

  // A node is opened at its first transition, and at its next one each time it is chosen again.
  const choose = (node) => {
    const numbers = node.data("numbers");
    if (!numbers.length) return;
    const now = shownNow();
    const at = now && idOf(now.dataset.node) === node.id() ? numbers.indexOf(Number(now.dataset.number)) : -1;
    open(numbers[(at + 1) % numbers.length]);
  };

  const tell = (data) => {
    const words = [];
    if (data.cut) words.push(`The graph shows the first ${data.cut.toLocaleString("en")} transitions.`);
    if (data.left_out) words.push(`${data.left_out} more nodes are not drawn.`);
    if (data.undeclared) words.push(`Only what was reached is drawn: the graph could not be asked for the rest (${data.undeclared})`);
    note.textContent = words.join(" ");
    note.hidden = !words.length;
    const there = new Set(data.nodes.filter((node) => !isEnd(node)).map((node) => node.how));
    for (const each of legend.children) each.hidden = !there.has(each.dataset.how);
  };

  const draw = async () => {
    let text;
    try {
      const answer = await fetch(box.dataset.src, { headers: { Accept: "application/json" } });
      if (!answer.ok) throw new Error(`the server said ${answer.status}`);
      text = await answer.text();
    } catch (error) {
      note.textContent = `The graph could not be fetched: ${error.message}`;
      note.hidden = false;
      return;
    }
    if (text === drawn) return;
    drawn = text;
    const data = JSON.parse(text);
    legend.hidden = false;
    tell(data);
    if (!data.nodes.length) {
      note.textContent = "Nothing has been recorded of this run yet.";
      note.hidden = false;
      box.hidden = true;
      return;
    }
    box.hidden = false;
    document.getElementById("graph-tools").hidden = false;
    const shape = (elements) => elements.map((each) => each.data.id + (each.data.source ?? "") + (each.data.target ?? "")).join("\n");
    const elements = elementsOf(data);
    if (graph && shape(elements) === graph.scratch("_shape")) {
      // Only what its nodes say has changed: everything stays in its place.
      for (const each of elements) {
        const known = graph.getElementById(each.data.id);
        known.data({ ...each.data, parent: known.data("parent") });
        const isBack = known.hasClass("back");
        known.classes(each.classes);
        known.toggleClass("back", isBack);
      }
      mark();
      return;
    }
    graph?.destroy();
    graph = cytoscape({
      container: box,
      elements,
      style: styles(),
      userZoomingEnabled: false,
      boxSelectionEnabled: false,
      autoungrabify: true,
      minZoom: 0.15,
      maxZoom: 2.5,
    });
    graph.scratch("_shape", shape(elements));
    graph.on("tap", "node", (event) => choose(event.target));
    graph.on("mouseover", "node", (event) => {
      tellNode(event.target);
      box.classList.toggle("on-node", event.target.hasClass("reached"));
    });
    graph.on("mouseout", "node", () => {
      box.classList.remove("on-node");
      tellNode(graph.nodes(".chosen"));
    });
    layOut();
    mark();
    box.dataset.drawn = String(elements.length);
  };

  document.getElementById("graph-tools").addEventListener("click", (event) => {
    const by = event.target.closest("[data-zoom]")?.dataset.zoom;
    if (!by || !graph) return;
    if (by === "fit") fit();
    else
      graph.zoom({
        level: graph.zoom() * Number(by),
        renderedPosition: { x: box.clientWidth / 2, y: box.clientHeight / 2 },
      });
  });
  document.addEventListener("themechange", () => graph?.style(styles()));
  let resized = 0;
  let width = box.clientWidth;
  new ResizeObserver(() => {
    if (!graph || box.clientWidth === width) return;
    width = box.clientWidth;
    cancelAnimationFrame(resized);
    resized = requestAnimationFrame(() => {
      graph.resize();
      layOut();
    });
  }).observe(box);

  list.addEventListener("click", (event) => {
    opener = event.target.closest("[data-item]")?.id ?? opener;
  });
  document.body.addEventListener("htmx:afterSwap", (event) => {
    if (event.detail.target !== panel) return;
    const now = shownNow();
    mark();
    if (!now) return;
    const address = new URL(location.href);
    address.searchParams.set("number", now.dataset.number);
    history.replaceState(history.state, "", address);
    // Where the list stays in sight the focus stays in it; else it follows what was opened.
    const heading = panel.querySelector("h2");
    if (!isWide.matches || !list.contains(document.activeElement)) heading?.focus();
  });
  document.body.addEventListener("htmx:oobAfterSwap", (event) => {
    if (event.detail.target.id !== "transitions") return;
    mark();
    draw();
  });

  const isTyping = (target) =>
    target.isContentEditable || ["INPUT", "TEXTAREA", "SELECT"].includes(target.tagName);
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target)) return;
    if (document.querySelector("dialog[open]")) return;
    if (event.key === "p") {
      (panel.querySelector("h2") ?? panel).focus();
    } else if (event.key === "l" || (event.key === "Escape" && panel.contains(event.target))) {
      const now = shownNow();
      (itemOf(now?.dataset.number) ?? document.getElementById(opener ?? "") ?? list.querySelector("[data-item]"))?.focus();
    } else if (event.key === "n") {
      const items = [...list.querySelectorAll("[data-item]")];
      const from = Math.max(
        items.indexOf(document.activeElement),
        items.findIndex((each) => each.hasAttribute("aria-current")),
      );
      const next = items.slice(from + 1).find((each) => !each.querySelector(".how.accepted"));
      if (!next) return;
      next.focus();
      next.click();
    } else {
      return;
    }
    event.preventDefault();
  });

  note.hidden = true;
  const scroller = document.querySelector(".run-list");
  const chosen = list.querySelector("[aria-current]");
  if (chosen) scroller.scrollTop = chosen.offsetTop - scroller.clientHeight / 2;
  draw();
})();
