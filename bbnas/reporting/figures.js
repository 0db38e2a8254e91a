"use strict";
// Draws each figure in its element, one at a time, so that the page answers in between.
(async () => {
  const figures = JSON.parse(document.getElementById("plotly-figures").textContent);
  const config = {
    responsive: true,
    displaylogo: false,
    modeBarButtons: [["toImage", "zoom2d", "pan2d", "resetScale2d"]],
  };
  for (const [name, figure] of Object.entries(figures)) {
    if (!figure) continue;
    const place = document.getElementById("plot-" + name);
    if (typeof Plotly === "undefined") {
      place.className = "empty";
      place.textContent = "This figure needs plotly.min.js in the folder of this page: copy it along, or write the page with --inline.";
      continue;
    }
    const layout = figure.layout;
    if (place.clientWidth < 560 && layout.margin) {
      layout.margin.l = 46;
      layout.font.size = 11;
      // A narrow page has room for the colour bar below the figure only.
      if (layout.coloraxis) {
        Object.assign(layout.coloraxis.colorbar, { orientation: "h", y: -0.22, thickness: 10 });
      }
    }
    await Plotly.newPlot(place, figure.data, layout, config);
    place.dispatchEvent(new CustomEvent("drawn", { bubbles: true }));
    place.dataset.drawn = String(Math.round(performance.now()));
    await new Promise((done) => setTimeout(done));
  }
})();
