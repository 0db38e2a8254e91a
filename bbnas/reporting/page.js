"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const byId = (id) => document.getElementById(id);

  // The figures are drawn by figures.js, which comes after this script.
  document.addEventListener("drawn", (event) => {
    const place = event.target;
    if (place.id === "plot-front") connectFront(place);
    place.on("plotly_click", (click) => {
      const number = click.points[0].customdata;
      if (number !== undefined) find(number);
    });
  });

  // The front: which colours are shown, and the published designs.
  function connectFront(plot) {
    const psnr = plot.data.map((trace) => trace.y);
    const range = plot.layout.yaxis.range.slice();
    let colour = document.querySelector("[data-colour][aria-pressed=true]").dataset.colour;
    let overlay = false;
    const show = () => {
      const modes = plot.data.map((trace) => trace.meta.mode);
      const visible = modes.map((m) => m === "always" || m === colour || (m === "published" && overlay));
      const y = psnr.map((values, i) =>
        overlay && modes[i] !== "published" ? values.map((v) => (v === null ? null : v - data.bicubic)) : values,
      );
      const title = overlay
        ? "PSNR above bicubic interpolation on the same images (dB)"
        : "PSNR on the validation images (dB)";
      const axis = overlay
        ? { "yaxis.range": plot.layout.meta.gains.slice(), "yaxis.autorange": false }
        : { "yaxis.range": range.slice(), "yaxis.autorange": false };
      Plotly.update(plot, { visible, y }, {
        ...axis,
        "yaxis.title.text": title,
        "coloraxis.showscale": colour === "params",
      });
      document.querySelectorAll("[data-only]").forEach((e) => { e.hidden = e.dataset.only !== colour; });
    };
    document.querySelectorAll("[data-colour]").forEach((button, _, all) => {
      button.addEventListener("click", () => {
        colour = button.dataset.colour;
        all.forEach((b) => b.setAttribute("aria-pressed", String(b === button)));
        show();
      });
    });
    byId("overlay")?.addEventListener("click", (event) => {
      overlay = !overlay;
      event.currentTarget.setAttribute("aria-pressed", String(overlay));
      show();
    });
  }

  // The table of candidates: sorting and filtering.
  const table = byId("table");
  const rows = table ? [...table.tBodies[0].rows] : [];
  const key = (row, column) => {
    const cell = row.cells[column];
    const text = cell.dataset.v ?? cell.textContent;
    const number = Number(text);
    if (text === "" || text === "–" || text === "nan" || text === "off") return null;
    return Number.isNaN(number) ? text : number;
  };
  table?.querySelectorAll("thead th").forEach((heading, column, all) => {
    heading.querySelector("button").addEventListener("click", () => {
      // The first click shows the best on top where a higher value is better.
      const first = ["PSNR", "SSIM"].includes(heading.textContent.trim()) ? "descending" : "ascending";
      const other = first === "ascending" ? "descending" : "ascending";
      const order = heading.getAttribute("aria-sort") === first ? other : first;
      all.forEach((h) => h.removeAttribute("aria-sort"));
      heading.setAttribute("aria-sort", order);
      const sign = order === "ascending" ? 1 : -1;
      const keyed = rows.map((row) => [key(row, column), row]);
      keyed.sort(([a], [b]) => {
        if (a === null || b === null) return (a === null) - (b === null);
        return sign * (typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b)));
      });
      table.tBodies[0].append(...keyed.map(([, row]) => row));
    });
  });
  const filter = () => {
    const words = byId("filter").value.toLowerCase().split(/\s+/).filter(Boolean);
    const onlyFront = byId("front-only").checked;
    let shown = 0;
    for (const row of rows) {
      const text = row.textContent.toLowerCase();
      const kept = words.every((word) => text.includes(word))
        && (!onlyFront || row.classList.contains("front") || row.classList.contains("recommended"));
      row.hidden = !kept;
      shown += kept;
    }
    byId("shown").textContent = `${shown} of ${rows.length}`;
  };
  byId("filter")?.addEventListener("input", filter);
  byId("front-only")?.addEventListener("change", filter);
  function find(number) {
    const row = byId("t" + number);
    if (!row) return;
    if (row.hidden) {
      byId("filter").value = "";
      byId("front-only").checked = false;
      filter();
    }
    rows.forEach((r) => r.classList.remove("hit"));
    row.classList.add("hit");
    row.scrollIntoView({ block: "center" });
  }

  // The best PSNR within limits.
  const count = (value) => {
    const [limit, prefix] = [[1e9, " G"], [1e6, " M"], [1e3, " K"], [1, ""]].find(([l]) => value >= l) ?? [1, ""];
    return Number((value / limit).toPrecision(3)) + prefix;
  };
  const amount = (id) => {
    const text = byId(id)?.value.trim().replace(",", ".") ?? "";
    return text === "" ? Infinity : Number(text);
  };
  const answer = () => {
    const output = byId("budget-answer");
    const giga = amount("max-ops");
    const kilo = amount("max-params");
    const milli = amount("max-latency");
    if ([giga, kilo, milli].some(Number.isNaN)) {
      output.textContent = "A limit must be a number, e.g. 2.5.";
      return;
    }
    const within = data.designs.filter((d) =>
      d[2] <= giga * 1e9 && d[3] <= kilo * 1e3 && (d[4] ?? Infinity) <= milli / 1e3);
    if (within.length === 0) {
      output.textContent = "No design that was trained to the end is within these limits.";
      return;
    }
    const [number, psnr, ops, params] = within.reduce((a, b) => (b[1] > a[1] || (b[1] === a[1] && b[2] < a[2]) ? b : a));
    const link = document.createElement("a");
    link.href = "#t" + number;
    link.textContent = "trial " + number;
    link.addEventListener("click", (event) => { event.preventDefault(); find(number); });
    const code = document.createElement("code");
    code.textContent = `${data.export} --pick 'trial ${number}'`;
    output.replaceChildren(
      "Best PSNR: ", link,
      `, ${psnr.toFixed(2)} dB, ${count(ops)} OPs, ${count(params)} Params; ${within.length} of the ${data.designs.length} designs that were trained to the end, above the global skip, are within the limits. `,
      code,
    );
  };
  if (byId("budget")) {
    byId("budget").addEventListener("submit", (event) => event.preventDefault());
    byId("budget").addEventListener("input", answer);
    answer();
  }
  document.documentElement.dataset.ready = String(Math.round(performance.now()));
})();
