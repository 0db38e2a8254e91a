"use strict";
// Draws each figure in its element, one at a time, so that the page answers in between.
(async () => {
  const read = (id) => JSON.parse(document.getElementById(id).textContent);
  const figures = read("plotly-figures");
  const config = {
    responsive: true,
    displaylogo: false,
    displayModeBar: innerWidth < 560 ? false : undefined,
    modeBarButtons: [["toImage", "zoom2d", "pan2d", "resetScale2d"]],
  };
  const theme = () => document.documentElement.dataset.theme;
  const drawn = [];
  const follow = () => {
    for (const place of drawn) {
      if (place.dataset.theme === theme()) continue;
      place.dataset.theme = theme();
      const [data, layout] = bbnasRecolour([place.data, place.layout], theme());
      Plotly.react(place, data, layout, config);
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
    const { data, layout: own } = theme() === "dark" ? bbnasRecolour(figure, "dark") : figure;
    await Plotly.newPlot(place, data, own, config);
    drawn.push(place);
    place.dispatchEvent(new CustomEvent("drawn", { bubbles: true }));
    place.dataset.drawn = String(Math.round(performance.now()));
    await new Promise((done) => setTimeout(done));
  }
  follow();
})();
