// Draws the last minute: one track a slot, one bar a job, time from left to right, now at the right edge.
// Takes its bars from /api/stream.json (docs/api.md) after each refresh of the page, and colours from the stylesheet.
"use strict";

(() => {
  const SPAN = 60;
  const LABELS = 170;
  const AXIS = 20;
  const LABEL = 12; // the height of a label: thin tracks get fewer labels, so that none covers another
  const calm = matchMedia("(prefers-reduced-motion: reduce)");
  let shown = null; // the last answer
  let skew = 0; // Redis' clock minus ours, in seconds
  let boxes = []; // what is drawn where, for the pointer
  let chosen = -1;
  let colours = {};
  let fills = new Map(); // "colour pattern" -> a pattern of the canvas
  let asking = false;

  const canvas = () => document.getElementById("tracks");
  const tip = () => document.getElementById("tip");
  const clock = () => Date.now() / 1000 + skew;

  function readColours() {
    const style = getComputedStyle(document.documentElement);
    const of = (name) => style.getPropertyValue(name).trim();
    const probe = document.createElement("canvas").getContext("2d");
    const solid = (name) => {
      const box = document.createElement("i");
      box.className = "probe";
      box.style.color = `var(${name})`;
      document.body.append(box);
      probe.fillStyle = getComputedStyle(box).color;
      box.remove();
      return probe.fillStyle;
    };
    colours = { font: of("--font") };
    for (const name of ["ink", "quiet", "line", "bad", "sheet", "track"]) colours[name] = solid(`--${name}`);
    for (let i = 0; i < 8; i += 1) colours[i] = solid(`--c${i}`);
    fills = new Map();
  }

  // The same patterns as the stylesheet's .p1 to .p3.
  function fillOf(pen, { colour, pattern }) {
    if (colour === null) return colours.quiet;
    if (!pattern) return colours[colour];
    const key = `${colour} ${pattern}`;
    if (!fills.has(key)) {
      const tile = document.createElement("canvas");
      tile.width = tile.height = 6;
      const ink = tile.getContext("2d");
      ink.fillStyle = colours[colour];
      ink.fillRect(0, 0, 6, 6);
      ink.fillStyle = colours.sheet;
      for (let i = 0; i < 6; i += 1) {
        if (pattern === 1) ink.fillRect(i, 5 - i, 1, 1);
        else if (pattern === 2) ink.fillRect(i, 5, 1, 1);
        else ink.fillRect(5, i, 1, 1);
      }
      fills.set(key, pen.createPattern(tile, "repeat"));
    }
    return fills.get(key);
  }

  function trackHeight(count) {
    if (count <= 24) return 20;
    if (count <= 40) return 16;
    if (count <= 80) return 10;
    return count <= 160 ? 6 : 4;
  }

  function place(target) {
    const tracks = Math.max(shown.tracks.length, 4);
    const width = target.clientWidth;
    const height = trackHeight(tracks) * tracks + AXIS;
    const ratio = window.devicePixelRatio || 1;
    if (target.width !== Math.round(width * ratio) || target.height !== Math.round(height * ratio)) {
      target.style.height = `${height}px`;
      target.width = Math.round(width * ratio);
      target.height = Math.round(height * ratio);
    }
    const pen = target.getContext("2d");
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.clearRect(0, 0, width, height);
    return { pen, width, height, tracks, tall: trackHeight(tracks), left: width < 560 ? 8 : labels(pen) };
  }

  function labels(pen) {
    pen.font = `11px ${colours.font}`;
    const widths = shown.tracks.map(([, label, , alive]) => pen.measureText(alive ? label : `${label} (gone)`).width);
    return Math.min(LABELS, Math.max(40, ...widths) + 14);
  }

  function drawTracks({ pen, width, tall, left, tracks, height }) {
    pen.font = `11px ${colours.font}`;
    pen.textBaseline = "middle";
    let before = null;
    let below = -LABEL; // where the last label ended
    shown.tracks.forEach(([worker, label, , alive], i) => {
      const y = i * tall;
      pen.fillStyle = colours.track;
      pen.fillRect(left, y + 1, width - left, Math.max(tall - 2, 1));
      if (worker !== before) {
        if (i > 0) {
          pen.fillStyle = colours.line;
          pen.fillRect(0, y, width, 1);
        }
        const at = y + Math.max(tall, 12) / 2;
        if (left > 8 && at - LABEL / 2 >= below) {
          below = at + LABEL / 2;
          pen.fillStyle = alive ? colours.ink : colours.bad;
          const text = alive ? label : `${label} (gone)`;
          pen.fillText(text, 0, at, left - 10);
        }
        before = worker;
      }
    });
    pen.fillStyle = colours.quiet;
    pen.textBaseline = "alphabetic";
    for (let ago = 0; ago <= SPAN; ago += 10) {
      const x = width - (ago / SPAN) * (width - left);
      pen.fillStyle = colours.line;
      if (ago > 0) pen.fillRect(x, 0, 1, tracks * tall);
      pen.fillStyle = colours.quiet;
      pen.textAlign = ago === 0 ? "right" : ago === SPAN ? "left" : "center";
      pen.fillText(ago === 0 ? "now" : `${ago} s`, x, height - 5);
    }
    pen.textAlign = "left";
  }

  function draw() {
    const target = canvas();
    if (!target || !shown || document.hidden) return;
    const view = place(target);
    const { pen, width, tall, left } = view;
    drawTracks(view);
    const now = clock();
    const scale = (width - left) / SPAN;
    boxes = [];
    shown.bars.forEach(([track, fn, id, start, end, how], i) => {
      const until = end === null ? now : end;
      if (until < now - SPAN) return;
      const x = Math.max(left, width - (now - start) * scale);
      const wide = Math.max(1.5, width - (now - until) * scale - x - 0.5);
      const y = track * tall + 2;
      const high = Math.max(tall - 4, 2);
      pen.globalAlpha = how === "running" ? 0.75 : how === "requeued" || how === "cancelled" ? 0.35 : 1;
      const fill = fillOf(pen, shown.functions[fn]);
      // The pattern moves with its bar, or it would flicker.
      if (fill instanceof CanvasPattern) fill.setTransform(new DOMMatrix().translate(x + wide, y));
      pen.fillStyle = fill;
      pen.fillRect(x, y, wide, high);
      pen.globalAlpha = 1;
      if (how === "failed" || how === "requeued") {
        pen.fillStyle = colours.bad;
        pen.fillRect(x, y + high - Math.max(2, high / 4), wide, Math.max(2, high / 4));
      }
      if (i === chosen) {
        pen.strokeStyle = colours.ink;
        pen.lineWidth = 2;
        pen.strokeRect(x - 1, y - 1, wide + 2, high + 2);
      }
      boxes.push({ x, y, wide, high, i });
    });
  }

  function long(seconds) {
    if (seconds < 1) return `${Math.round(seconds * 1000)} ms`;
    return seconds < 10 ? `${seconds.toFixed(1)} s` : `${Math.round(seconds)} s`;
  }

  function tell(index) {
    const bubble = tip();
    const box = boxes.find((one) => one.i === index);
    if (!bubble) return;
    bubble.hidden = !box;
    if (!box) return;
    const [track, fn, id, start, end, how, attempt] = shown.bars[index];
    const [, label, slot] = shown.tracks[track];
    const span = (end === null ? clock() : end) - start;
    const words = [shown.functions[fn].name, `${how}, ${long(span)}`, `${label}, slot ${slot}`];
    if (attempt > 1) words.push(`attempt ${attempt}`);
    bubble.textContent = [...words, id].join(" · ");
    const middle = box.x + box.wide / 2;
    const room = canvas().clientWidth - bubble.offsetWidth;
    bubble.style.left = `${Math.max(0, Math.min(middle - bubble.offsetWidth / 2, room))}px`;
    bubble.style.top = `${canvas().offsetTop + box.y + box.high + 6}px`;
  }

  function under(event) {
    const found = boxes.filter(
      ({ x, y, wide, high }) =>
        event.offsetX >= x - 2 && event.offsetX <= x + wide + 2 && event.offsetY >= y - 1 && event.offsetY <= y + high + 1,
    );
    return found.length ? found[found.length - 1].i : -1;
  }

  function choose(index) {
    if (chosen !== index) {
      chosen = index;
      draw();
    }
    tell(index);
    canvas().classList.toggle("over", index >= 0);
  }

  function open(index) {
    const bar = shown && shown.bars[index];
    if (!bar) return;
    const name = shown.functions[bar[1]].function;
    location.href = `${canvas().dataset.jobs}/${encodeURIComponent(bar[2])}?function=${encodeURIComponent(name)}`;
  }

  function step(direction) {
    if (!boxes.length) return;
    const order = [...boxes].sort((a, b) => a.y - b.y || a.x - b.x).map((box) => box.i);
    const at = order.indexOf(chosen);
    choose(order[at < 0 ? (direction > 0 ? 0 : order.length - 1) : (at + direction + order.length) % order.length]);
  }

  function listen(target) {
    if (target.dataset.heard) return;
    target.dataset.heard = "1";
    target.addEventListener("pointermove", (event) => choose(under(event)));
    target.addEventListener("pointerleave", () => choose(-1));
    target.addEventListener("click", (event) => open(under(event)));
    target.addEventListener("blur", () => choose(-1));
    target.addEventListener("keydown", (event) => {
      if (event.key === "ArrowRight" || event.key === "ArrowDown") step(1);
      else if (event.key === "ArrowLeft" || event.key === "ArrowUp") step(-1);
      else if (event.key === "Enter") open(chosen);
      else return;
      event.preventDefault();
    });
  }

  async function ask() {
    const target = canvas();
    if (!target || asking || document.hidden) return;
    listen(target);
    asking = true;
    try {
      const answer = await fetch(target.dataset.stream, { signal: AbortSignal.timeout(5000), credentials: "same-origin" });
      if (answer.ok) {
        const picked = shown && chosen >= 0 ? shown.bars[chosen][2] : null;
        shown = await answer.json();
        chosen = picked === null ? -1 : shown.bars.findIndex((bar) => bar[2] === picked);
        const difference = shown.time - Date.now() / 1000;
        // Follow it slowly, or the bars would shake.
        skew = Math.abs(difference - skew) > 0.5 ? difference : skew + (difference - skew) * 0.1;
        target.dataset.bars = String(shown.bars.length);
        draw();
      }
    } catch {
      // live.js says so.
    } finally {
      asking = false;
    }
  }

  let last = 0;
  function animate(moment) {
    // A pixel is worth 30 to 60 ms: more frames would show nothing new.
    if (!calm.matches && moment - last > 40) {
      last = moment;
      draw();
    }
    requestAnimationFrame(animate);
  }

  readColours();
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    readColours();
    draw();
  });
  addEventListener("resize", draw);
  document.addEventListener("refreshed", ask);
  ask();
  requestAnimationFrame(animate);
})();
