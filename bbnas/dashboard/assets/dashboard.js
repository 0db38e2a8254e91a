"use strict";
// Asks the server for news, and keeps what belongs to the browser: theme, address, title, ages.
(() => {
  const root = document.documentElement;
  const wear = () => {
    root.dataset.agThemeMode = root.dataset.theme;
    document.getElementById("theme-switch")
      ?.setAttribute("aria-pressed", String(root.dataset.theme === "dark"));
  };
  document.addEventListener("theme", ({ detail }) => {
    wear();
    window.dash_clientside.set_props?.("theme", { data: detail });
  });

  const load = (address) => new Promise((done, failed) => {
    const script = document.createElement("script");
    Object.assign(script, { src: address, onload: done, onerror: failed });
    document.head.append(script);
  });

  let clicks = 0;
  window.dash_clientside = Object.assign({}, window.dash_clientside, {
    bbnas: {
      theme(n) {
        if (n && n !== clicks) {
          clicks = n;
          const other = root.dataset.theme === "dark" ? "light" : "dark";
          try { localStorage.setItem("bbnas-theme", other); } catch { /* not remembered */ }
          window.bbnasTheme(other);
          return window.dash_clientside.no_update; // "theme" was told
        }
        wear();
        return root.dataset.theme;
      },
      // A page's controls as its address, without a new entry in the browser's history.
      remember(search) {
        if (typeof search === "string" && search !== location.search) {
          history.replaceState(history.state, "", location.pathname + search + location.hash);
        }
        return window.dash_clientside.no_update;
      },
      // A tab of a study, when what it needs is there: the script of the grid is of 1.3 MB.
      async open(tab) {
        if (tab === "candidates" && !window.dash_ag_grid) await load(document.body.dataset.grid);
        return tab;
      },
    },
  });

  // The studies that this page is about; all of them where its address names none.
  const mine = (versions) => {
    const named = new URLSearchParams(location.search).getAll("study");
    return named.length ? JSON.stringify(named.map((key) => versions.studies[key] || ""))
      : String(versions.all);
  };
  let before = null;
  const offline = (text) => {
    const place = document.getElementById("offline");
    if (place) { place.hidden = !text; place.textContent = text; }
  };
  // The server answers when something has changed, or after a while.
  const pause = (seconds) => new Promise((done) => setTimeout(done, 1000 * seconds));
  const shown = () => new Promise((done) => {
    if (!document.hidden) return done();
    document.addEventListener("visibilitychange", () => done(), { once: true });
  });
  const ask = async () => {
    const search = new URLSearchParams(location.search);
    const query = new URLSearchParams(search.getAll("study").map((key) => ["study", key]));
    if (before) query.set("since", before.all);
    const answer = await fetch("/version?" + query, { cache: "no-store" });
    if (!answer.ok) throw new Error(await answer.text());
    const now = await answer.json();
    offline("");
    const moved = before && (mine(before) !== mine(now) || before.ready !== now.ready);
    if (moved && window.dash_clientside.set_props) {
      window.dash_clientside.set_props("version", { data: now });
    }
    before = now;
  };
  (async () => {
    for (;;) {
      await shown();
      try {
        await ask();
        await pause(before.ready ? 0.3 : 1);
      } catch (error) {
        before = before && { ...before, all: -1 }; // all that was missed counts
        offline(error instanceof TypeError
          ? "The dashboard does not answer: it has ended, or the connection is lost. Start bbnas dashboard again; this page then goes on by itself."
          : error.message);
        await pause(1);
      }
    }
  })();

  const age = (seconds) => {
    if (seconds < 90) return `${Math.round(seconds)} s ago`;
    const minutes = Math.round(seconds / 60);
    if (minutes < 90) return `${minutes} min ago`;
    return `${Math.floor(minutes / 60)} h ${String(minutes % 60).padStart(2, "0")} min ago`;
  };
  const tidy = () => {
    for (const time of document.querySelectorAll("time[datetime]")) {
      const seconds = (Date.now() - Date.parse(time.dateTime)) / 1000;
      if (seconds < 86400) time.textContent = age(Math.max(0, seconds));
    }
    const heading = document.querySelector("h1");
    const title = heading ? `${heading.textContent} · bbnas` : "bbnas";
    if (document.title !== title) document.title = title;
  };
  setInterval(tidy, 1000);
})();
