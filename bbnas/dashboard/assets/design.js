"use strict";
// The pictures of the page Design: two methods over each other, a boundary and a zoom.
(() => {
  const viewers = () => document.getElementById("design-viewers");
  window.dash_clientside = Object.assign({}, window.dash_clientside, {
    design: {
      split(value) {
        const place = viewers();
        if (place) place.style.setProperty("--split", `${value}%`);
        return value;
      },
      zoom(value) {
        const place = viewers();
        if (place) place.style.setProperty("--zoom", value);
        return value;
      },
      sides(left, right) {
        const place = viewers();
        for (const image of place ? place.querySelectorAll("img.restored") : []) {
          image.classList.toggle("left", image.dataset.method === left);
          image.classList.toggle("right", image.dataset.method === right);
        }
        return `${left}/${right}`;
      },
    },
  });
})();
