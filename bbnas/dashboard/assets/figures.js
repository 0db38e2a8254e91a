"use strict";
// What a user does to a figure outlives the next one that the server sends.
(() => {
  const drawn = (id) => document.querySelector(`#${id} .js-plotly-plot`);
  const revisions = {}; // of the figure that each graph shows
  const identities = {}; // of traces: words that are valid in CSS, by name and place among equals

  window.dash_clientside = Object.assign({}, window.dash_clientside, {
    figures: {
      // ``figure`` as the user views the one before it. Plotly writes "autorange": false into an
      // axis that a user zooms. It keeps the legend itself, if traces have identities.
      keep(figure, id) {
        const before = drawn(id);
        const layout = { ...figure.layout };
        const same = revisions[id] === layout.uirevision;
        revisions[id] = layout.uirevision;
        if (same && before && before.layout) {
          for (const [name, axis] of Object.entries(before.layout)) {
            if (/^[xy]axis/.test(name) && axis.autorange === false && layout[name]) {
              layout[name] = { ...layout[name], range: axis.range, autorange: false };
            }
          }
          layout.dragmode = before.layout.dragmode;
          layout.selections = layout.selections || before.layout.selections;
        }
        const named = {};
        const data = figure.data.map((trace) => {
          named[trace.name] = (named[trace.name] || 0) + 1;
          const key = `${trace.name} ${named[trace.name]}`;
          identities[key] = identities[key] || `trace${Object.keys(identities).length}`;
          return { ...trace, uid: identities[key] };
        });
        return { ...figure, data, layout };
      },
    },
  });
})();
