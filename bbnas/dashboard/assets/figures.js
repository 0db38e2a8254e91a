"use strict";
// What a user does to a figure outlives the next one that the server sends.
(() => {
  const drawn = (id) => document.querySelector(`#${id} .js-plotly-plot`);
  const revisions = {}; // of the figure that each graph shows
  const identities = {}; // of traces: words that are valid in CSS, by name and place among equals

  window.dash_clientside = Object.assign({}, window.dash_clientside, {
    figures: {
      // ``figure``, if it is another than the one before, as the user views the one before it. Plotly writes "autorange": false into an
      // axis that a user zooms, and "legendonly" into a trace that a user hides.
      keep(figure, id) {
        const before = drawn(id);
        const made = figure.layout.meta && figure.layout.meta.made;
        if (made && before && before.layout && (before.layout.meta || {}).made === made) {
          return window.dash_clientside.no_update; // it is on the screen
        }
        const layout = { ...figure.layout };
        const same = revisions[id] === layout.uirevision && before && before.layout;
        revisions[id] = layout.uirevision;
        const hidden = new Set();
        if (same) {
          for (const [name, axis] of Object.entries(before.layout)) {
            if (/^[xy]axis/.test(name) && axis.autorange === false && layout[name]) {
              layout[name] = { ...layout[name], range: axis.range, autorange: false };
            }
          }
          layout.dragmode = before.layout.dragmode;
          for (const trace of before.data) {
            if (trace.visible === "legendonly") hidden.add(trace.name);
          }
        }
        const named = {};
        const data = figure.data.map((trace) => {
          named[trace.name] = (named[trace.name] || 0) + 1;
          const key = `${trace.name} ${named[trace.name]}`;
          identities[key] = identities[key] || `trace${Object.keys(identities).length}`;
          const shown = trace.visible !== false && hidden.has(trace.name)
            ? { ...trace, visible: "legendonly" } : trace;
          return { ...shown, uid: identities[key] };
        });
        return { ...figure, data, layout };
      },
      // What is drawn on a figure after its selections changed, and what its legend hides.
      shapes(event, id) {
        if (!Object.keys(event || {}).some((key) => key.startsWith("selections"))) {
          return window.dash_clientside.no_update;
        }
        const { data, layout } = drawn(id);
        const hidden = data.filter((trace) => trace.visible === "legendonly")
          .map((trace) => trace.name);
        return { ...layout.meta, selections: layout.selections, hidden: [...new Set(hidden)] };
      },
    },
  });
})();
