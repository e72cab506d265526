// Draws the graph of handoffs and the trend; the tables beside them tell the same without it.
"use strict";
(() => {
  const colour = pageColour;
  let drawn = [];

  // dagre says where nodes and labels have room; cytoscape draws there.
  const places = (elements, sizes, rankdir) => {
    const graph = new dagre.graphlib.Graph({ multigraph: true });
    graph.setGraph({ rankdir, nodesep: 36, ranksep: 26, edgesep: 24 });
    graph.setDefaultEdgeLabel(() => ({}));
    for (const node of elements.nodes) graph.setNode(node.id, { ...sizes(node) });
    for (const edge of elements.edges) {
      graph.setEdge(edge.source, edge.target, { width: 110, height: 34, labelpos: "c" }, edge.id);
    }
    dagre.layout(graph);
    return graph;
  };

  // How far a bend lies along, and beside, the straight line between the ends.
  const bends = (graph, edge) => {
    const { points } = graph.edge(edge.source, edge.target, edge.id);
    const [from, to] = [graph.node(edge.source), graph.node(edge.target)];
    const [dx, dy] = [to.x - from.x, to.y - from.y];
    const length = Math.hypot(dx, dy);
    if (!length) return null;
    const inner = points.slice(1, -1).map(({ x, y }) => ({
      weight: ((x - from.x) * dx + (y - from.y) * dy) / length ** 2,
      distance: ((y - from.y) * dx - (x - from.x) * dy) / length,
    }));
    return inner.some(({ distance }) => Math.abs(distance) > 2) ? inner : null;
  };

  const drawGraph = (place) => {
    const elements = JSON.parse(place.dataset.graph);
    const lines = (node) => node.label.split("\n");
    const sizes = (node) => ({
      width: Math.max(64, 7.6 * Math.max(...lines(node).map((line) => line.length)) + 22),
      height: 18 * lines(node).length + 14,
    });
    place.closest("figure").hidden = false;
    // From left to right where that fits, else from top to bottom.
    let graph = places(elements, sizes, "LR");
    if (graph.graph().width > place.clientWidth - 24) graph = places(elements, sizes, "TB");
    const { width, height } = graph.graph();
    const shown = Math.min(1, (place.clientWidth - 24) / width);
    place.style.height = `${Math.round(Math.min(640, Math.max(160, height * shown + 32)))}px`;
    const edges = elements.edges.map((edge) => {
      const bent = bends(graph, edge);
      const data = { ...edge };
      if (bent) {
        data.weights = bent.map((bend) => bend.weight.toFixed(4)).join(" ");
        data.distances = bent.map((bend) => bend.distance.toFixed(2)).join(" ");
      }
      return { group: "edges", data, classes: `${edge.mark} ${bent ? "bent" : ""}` };
    });
    const nodes = elements.nodes.map((node) => ({
      group: "nodes",
      data: { ...node, ...sizes(node) },
      position: { x: graph.node(node.id).x, y: graph.node(node.id).y },
      classes: node.kind,
    }));
    const coarse = matchMedia("(pointer: coarse)").matches;
    const font = getComputedStyle(document.body).fontFamily;
    const view = cytoscape({
      container: place,
      elements: [...nodes, ...edges],
      layout: { name: "preset", fit: true, padding: 12 },
      minZoom: 0.1,
      maxZoom: 3,
      userZoomingEnabled: false,
      userPanningEnabled: !coarse,
      autoungrabify: true,
      autounselectify: true,
      boxSelectionEnabled: false,
      style: [
        {
          selector: "node",
          style: {
            shape: "round-rectangle",
            width: "data(width)",
            height: "data(height)",
            label: "data(label)",
            "text-wrap": "wrap",
            "text-valign": "center",
            "text-halign": "center",
            "line-height": 1.25,
            "font-family": font,
            "font-size": 13,
            color: colour("--ink"),
            "background-color": colour("--card"),
            "border-width": 1,
            "border-color": colour("--soft"),
          },
        },
        {
          selector: "node.end",
          style: { "background-color": colour("--sunk"), color: colour("--soft"), shape: "ellipse" },
        },
        {
          selector: "edge",
          style: {
            width: 1.5,
            "line-color": colour("--soft"),
            "target-arrow-color": colour("--soft"),
            "target-arrow-shape": "triangle",
            "curve-style": "bezier",
            label: "data(label)",
            "text-wrap": "wrap",
            "font-family": font,
            "font-size": 12,
            "line-height": 1.2,
            color: colour("--ink"),
            "text-background-color": colour("--sunk"),
            "text-background-opacity": 0.92,
            "text-background-padding": 2,
          },
        },
        {
          selector: "edge.bent",
          style: {
            "curve-style": "unbundled-bezier",
            "edge-distances": "node-position",
            "control-point-weights": (edge) => edge.data("weights"),
            "control-point-distances": (edge) => edge.data("distances"),
          },
        },
        {
          selector: "edge.weakest",
          style: {
            width: 5,
            "line-color": colour("--bad"),
            "target-arrow-color": colour("--bad"),
            color: colour("--bad"),
            "font-weight": "bold",
          },
        },
        {
          selector: "edge.candidate",
          style: {
            width: 3,
            "line-style": "dashed",
            "line-color": colour("--warn"),
            "target-arrow-color": colour("--warn"),
            color: colour("--warn"),
            "font-weight": "bold",
          },
        },
      ],
    });
    place.addEventListener(
      "wheel",
      (event) => {
        if (!event.ctrlKey) return;
        event.preventDefault();
        const box = place.getBoundingClientRect();
        view.zoom({
          level: view.zoom() * Math.exp(-event.deltaY / 300),
          renderedPosition: { x: event.clientX - box.left, y: event.clientY - box.top },
        });
      },
      { passive: false, signal: ended.signal },
    );
    place
      .closest("figure")
      .querySelector("[data-fit]")
      .addEventListener("click", () => view.fit(undefined, 12), { signal: ended.signal });
    place.dataset.drawn = String(view.edges().length);
    drawn.push(() => view.destroy());
  };

  const percent = (value) => (value === null ? "–" : `${(value * 100).toFixed(1)}%`);

  // Of few periods each interval is a line, too: a band between two is hardly one.
  const whiskers = (chart) => {
    if (chart.data[0].length > 12) return;
    const { ctx } = chart;
    const ratio = devicePixelRatio;
    ctx.save();
    ctx.lineWidth = 1.5 * ratio;
    for (const [first, name, aside] of [
      [1, "--one", -1.5],
      [4, "--other", 1.5],
    ]) {
      ctx.strokeStyle = colour(name);
      chart.data[0].forEach((time, place) => {
        if (chart.data[first][place] === null) return;
        const x = chart.valToPos(time, "x", true) + aside * ratio;
        ctx.beginPath();
        ctx.moveTo(x, chart.valToPos(chart.data[first + 1][place], "y", true));
        ctx.lineTo(x, chart.valToPos(chart.data[first + 2][place], "y", true));
        ctx.stroke();
      });
    }
    ctx.restore();
  };

  const drawTrend = (place) => {
    const data = JSON.parse(place.dataset.trend);
    place.closest("figure").hidden = false;
    const axis = {
      stroke: colour("--soft"),
      grid: { stroke: colour("--line"), width: 1 },
      ticks: { stroke: colour("--line"), width: 1 },
      font: `12px ${getComputedStyle(document.body).fontFamily}`,
    };
    const iso = (time) => new Date(time * 1000).toISOString();
    const seen = (chart, value, first, at) =>
      value === null || value === undefined
        ? "–"
        : `${percent(value)} [${percent(chart.data[first + 1][at])}, ${percent(chart.data[first + 2][at])}]`;
    const rate = (label, name, dash) => ({
      label,
      stroke: colour(name),
      width: 2,
      dash,
      points: { show: true, size: 6 },
      value: seen,
    });
    const limit = { stroke: "transparent", points: { show: false } };
    const lowest = Math.min(...data[2], ...data[5]);
    const chart = new uPlot(
      {
        width: Math.max(240, place.clientWidth),
        height: 280,
        tzDate: (time) => uPlot.tzDate(new Date(time * 1000), "Etc/UTC"),
        scales: { y: { range: [Math.max(0, Math.floor(lowest * 10) / 10), 1] } },
        axes: [
          {
            ...axis,
            values: (_, times, _axis, _space, step) =>
              times.map((time) =>
                step >= 28 * 86400 ? iso(time).slice(0, 7) : step >= 86400 ? iso(time).slice(5, 10) : iso(time).slice(11, 16),
              ),
          },
          { ...axis, size: 56, values: (_, values) => values.map((v) => `${Math.round(v * 100)}%`) },
        ],
        series: [
          {
            label: "around",
            value: (_, time) => (time === null ? "–" : iso(time).slice(0, 16).replace("T", " ")),
          },
          rate("accepted", "--one"),
          limit,
          { ...limit },
          rate("at the first attempt", "--other", [6, 4]),
          { ...limit },
          { ...limit },
        ],
        bands: [
          { series: [3, 2], fill: colour("--band-one") },
          { series: [6, 5], fill: colour("--band-other") },
        ],
        hooks: { draw: [whiskers] },
      },
      data,
      place,
    );
    place.dataset.drawn = String(data[0].length);
    drawn.push(() => chart.destroy());
  };

  let ended = new AbortController();
  const draw = () => {
    ended.abort();
    ended = new AbortController();
    for (const end of drawn) end();
    drawn = [];
    document.querySelectorAll("[data-graph]").forEach(drawGraph);
    document.querySelectorAll("[data-trend]").forEach(drawTrend);
  };

  let width = innerWidth;
  let later = 0;
  addEventListener("resize", () => {
    if (innerWidth === width) return; // a phone's bars come and go while it is scrolled
    width = innerWidth;
    clearTimeout(later);
    later = setTimeout(draw, 150);
  });
  document.addEventListener("themechange", draw);
  document.addEventListener("htmx:afterSettle", draw);
  draw();
})();
