"use strict";
// Starts Dash, whose scripts stand in a template, once the first figure is on the screen: they keep
// the browser from drawing for half a second.
(async () => {
  const frame = () => new Promise((done) => {
    if (document.hidden) done(); // nothing is drawn now
    requestAnimationFrame(() => setTimeout(done));
  });
  const run = (written) => new Promise((done, failed) => {
    const script = document.createElement("script");
    for (const { name, value } of written.attributes) script.setAttribute(name, value);
    script.textContent = written.textContent;
    Object.assign(script, { onload: done, onerror: failed, async: false });
    document.body.append(script);
    if (!script.src) done();
  });
  const scripts = [...document.getElementById("dash").content.querySelectorAll("script")];
  if (document.getElementById("first")) await frame();
  const renderer = scripts.pop(); // inline, so that it would run before the others have come
  await Promise.all(scripts.map(run));
  await run(renderer);
})();
