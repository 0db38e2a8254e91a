"use strict";
// Figures are specified in the colours of the light theme. The element #theme-colours of a page
// holds the dark theme's counterparts, and the keys whose values are data and texts.
window.bbnasRecolour = (() => {
  const { dark, verbatim } = JSON.parse(document.getElementById("theme-colours").textContent);
  const maps = {
    dark: new Map(Object.entries(dark)),
    light: new Map(Object.entries(dark).map(([light, colour]) => [colour, light])),
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
  // ``value`` of the other theme in the colours of ``theme``.
  return (value, theme) => recolour(value, maps[theme]);
})();
