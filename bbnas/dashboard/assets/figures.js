"use strict";
// Draws figures. What a user does to one outlives the next that the server sends with the same
// "uirevision", and the element in which it stands: a tab that opens again shows it as it was.
(() => {
  const CONFIG = {
    displaylogo: false,
    doubleClick: "autosize",
    doubleClickDelay: 300, // ms in which a second click on a legend entry counts as a double click
    plotlyServerURL: "",
    modeBarButtonsToRemove: ["sendChartToCloud", "zoomIn2d", "zoomOut2d", "resetScale2d"],
  };
  const figures = {}; // by the identity of their place
  const identities = {}; // of traces: words that are valid in CSS, by name and place among equals
  const slim = matchMedia("(max-width: 600px)");
  const theme = () => document.documentElement.dataset.theme;

  const tell = (id, data) => window.dash_clientside?.set_props?.(id, { data });
  const listen = (id, figure) => {
    const { plot } = figure;
    plot.on("plotly_click", ({ points }) => {
      const known = points.map(({ customdata }) => ({ customdata }));
      tell(`${id}-clicked`, { points: known, at: Date.now() });
    });
    plot.on("plotly_clickannotation", ({ annotation }) => {
      tell(`${id}-clicked`, { name: annotation.name, at: Date.now() });
    });
    // What is drawn on the figure, and what its legend hides: the names of traces, but the trial
    // number of the recommended design, which another may become.
    plot.on("plotly_relayout", (event) => {
      if (!Object.keys(event).some((key) => key.startsWith("selections"))) return;
      const hidden = plot.data.filter((trace) => trace.visible === "legendonly")
        .flatMap(({ name, customdata }) => name === "recommended" ? (customdata ?? []).map((n) => `trial ${n}`) : name);
      const { meta, selections } = plot.layout;
      tell(`${id}-shapes`, { ...meta, selections, hidden: [...new Set(hidden)] });
    });
    plot.on("plotly_legendclick", () => { figure.clicked = performance.now(); });
  };

  const merged = (layout, changes) => {
    for (const [key, value] of Object.entries(changes ?? {})) {
      const plain = value !== null && typeof value === "object" && !Array.isArray(value);
      layout[key] = plain ? merged(layout[key] ?? {}, value) : value;
    }
    return layout;
  };
  const react = async (id, figure) => {
    const { plot, spec } = figure;
    const { data, layout } = theme() === "dark" ? bbnasRecolour(spec, "dark") : spec;
    const own = merged(structuredClone(layout), slim.matches ? layout.meta?.narrow : {});
    delete own.height; // that of the place
    own.autosize = true;
    const named = {};
    const traces = data.map((trace) => {
      named[trace.name] = (named[trace.name] ?? 0) + 1;
      const key = `${trace.name} ${named[trace.name]}`;
      identities[key] ??= `trace${Object.keys(identities).length}`;
      return { ...trace, uid: identities[key] };
    });
    figure.size = [plot.clientWidth, plot.clientHeight];
    if (figure.slim === !slim.matches) {
      // Plotly keeps the margin of a colour bar that moves, but not of one that goes.
      const bare = { ...own.coloraxis, showscale: false };
      await Plotly.react(plot, traces, { ...own, coloraxis: bare }, CONFIG);
    }
    figure.slim = slim.matches;
    const first = !plot.on;
    const drawing = Plotly.react(plot, traces, own, CONFIG);
    if (first) listen(id, figure);
    await drawing;
  };
  const create = () => {
    const plot = document.createElement("div");
    plot.style.height = "100%";
    const figure = { plot, held: false, clicked: -Infinity, queue: Promise.resolve() };
    plot.addEventListener("pointerdown", () => { figure.held = true; });
    new ResizeObserver(() => {
      const size = [plot.clientWidth, plot.clientHeight];
      if (!plot.on || !size[0] || String(size) === String(figure.size)) return;
      figure.size = size;
      figure.queue = figure.queue.finally(() => Plotly.Plots.resize(plot));
    }).observe(plot);
    return figure;
  };
  const update = (id, figure) => {
    const { spec, shown } = figure;
    const made = spec.layout.meta?.made ?? spec; // a figure that is sent again may be another object
    const look = `${theme()} ${slim.matches}`;
    if (made === shown?.made && look === shown.look) return; // it is on the screen
    if (figure.held) return; // a figure now would end what is being drawn or dragged
    // Plotly waits for the second click on a legend entry; a figure meanwhile loses the first.
    const wait = figure.clicked + CONFIG.doubleClickDelay + 50 - performance.now();
    clearTimeout(figure.later);
    if (wait > 0) {
      figure.later = setTimeout(() => update(id, figure), wait);
      return;
    }
    figure.shown = { made, look };
    figure.queue = figure.queue.finally(() => react(id, figure));
  };
  const show = (id, place, spec) => {
    const figure = figures[id] ??= create();
    if (figure.plot.parentNode !== place) place.replaceChildren(figure.plot);
    if (spec) {
      figure.spec = spec;
      update(id, figure);
    }
  };
  const draw = (spec, id) => {
    const place = document.getElementById(id);
    if (!place) return; // the page has left
    const first = document.getElementById("first");
    // The page takes the first figure over before the server sends it again.
    if (spec || (first && figures[id])) show(id, place, spec);
    if (figures[id]) first?.remove();
  };

  const again = () => {
    for (const [id, figure] of Object.entries(figures)) {
      if (figure.plot.isConnected) update(id, figure);
    }
  };
  const letGo = () => {
    for (const [id, figure] of Object.entries(figures).filter(([, { held }]) => held)) {
      figure.held = false;
      setTimeout(() => update(id, figure)); // after Plotly has heard of it
    }
  };
  addEventListener("pointerup", letGo, true);
  addEventListener("pointercancel", letGo, true);
  slim.addEventListener("change", again);
  document.addEventListener("theme", again);
  window.dash_clientside = Object.assign({}, window.dash_clientside, { figures: { draw } });

  const first = document.getElementById("first-figure");
  if (first) show("study-front", document.getElementById("first-front"), JSON.parse(first.textContent));
})();
