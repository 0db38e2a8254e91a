"use strict";
// Draws each figure in its element, one at a time, so that the page answers in between. A figure
// is specified in the colours of the light theme; a map gives those of the dark one.
(async () => {
  const read = (id) => JSON.parse(document.getElementById(id).textContent);
  const figures = read("plotly-figures");
  const { dark, verbatim } = read("theme-colours");
  const maps = {
    dark: new Map(Object.entries(dark)),
    light: new Map(Object.entries(dark).map(([light, colour]) => [colour, light])),
  };
  const config = {
    responsive: true,
    displaylogo: false,
    displayModeBar: innerWidth < 560 ? false : undefined,
    modeBarButtons: [["toImage", "zoom2d", "pan2d", "resetScale2d"]],
  };
  const recolour = (value, map) => {
    if (typeof value === "string") return map.get(value) ?? value;
    if (Array.isArray(value)) {
      // Numbers for each of many points hold no colour.
      return typeof value.at(-1) === "number" ? value : value.map((each) => recolour(each, map));
    }
    if (value === null || typeof value !== "object" || ArrayBuffer.isView(value)) return value;
    return Object.fromEntries(Object.entries(value).map(
      ([key, each]) => [key, verbatim.includes(key) ? each : recolour(each, map)],
    ));
  };
  const theme = () => document.documentElement.dataset.theme;
  const drawn = [];
  const follow = () => {
    for (const place of drawn) {
      if (place.dataset.theme === theme()) continue;
      place.dataset.theme = theme();
      const map = maps[theme()];
      Plotly.react(place, recolour(place.data, map), recolour(place.layout, map), config);
    }
  };
  document.addEventListener("theme", follow);
  for (const [name, figure] of Object.entries(figures)) {
    const place = document.getElementById("plot-" + name);
    if (!figure || !place) continue;
    if (typeof Plotly === "undefined") {
      place.className = "empty";
      place.textContent = "This figure needs plotly.min.js in the folder of this page: copy it along, or write the page with --inline.";
      continue;
    }
    const layout = figure.layout;
    if (place.clientWidth < 560 && layout.margin) {
      layout.margin.l = 46;
      layout.font.size = 11;
      // A narrow page has room for the legend above the figure, a line each, and for the colour
      // bar below it.
      if (layout.showlegend !== false && layout.legend) {
        const entries = figure.data.filter((trace) => trace.visible !== false && trace.showlegend !== false);
        layout.legend.orientation = "v";
        layout.height += 20 * entries.length - 40;
      }
      if (layout.coloraxis) {
        layout.margin.b = 110;
        Object.assign(layout.coloraxis.colorbar, { orientation: "h", y: -0.26, yanchor: "top", thickness: 10 });
      }
    }
    place.dataset.theme = theme();
    const map = theme() === "dark" ? maps.dark : new Map();
    await Plotly.newPlot(place, recolour(figure.data, map), recolour(layout, map), config);
    drawn.push(place);
    place.dispatchEvent(new CustomEvent("drawn", { bubbles: true }));
    place.dataset.drawn = String(Math.round(performance.now()));
    await new Promise((done) => setTimeout(done));
  }
  follow();
})();
