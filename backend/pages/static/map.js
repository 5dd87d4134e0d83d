// The map: every text a point on a canvas, which draws a hundred thousand of them at once. Found again
// by a grid of cells, for the pointer and for the arrow keys.
"use strict";

const canvas = document.getElementById("map");

if (canvas) {
  const pen = canvas.getContext("2d");
  const status = document.getElementById("point");
  const tip = document.getElementById("tip");
  const boxes = [...document.querySelectorAll("input[name=state]")];
  const CELLS = 64;
  const REACH = 14; // pixels
  const MARGIN = 0.47; // of the box, so that points at the edge are whole
  const box = { width: 1, height: 1 }; // kept, since asking the canvas for each point is slow
  const texts = new Map();
  const colourBy = document.getElementById("colour-by");
  const find = document.getElementById("find");
  const foundWords = document.getElementById("found");
  let points = [];
  let regions = [];
  let quality = {};
  let found = null; // ids of the texts that were looked for, or null
  let cells = [];
  let hidden = new Set();
  let view = { x: 0, y: 0, zoom: 1 };
  let chosen = null;
  let version = canvas.dataset.version;

  const style = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const COLOURS = { annotated: "--done", queued: "--window", auto: "--auto", rest: "--untouched", skipped: "--skipped" };
  const BACK_TO_FRONT = ["rest", "skipped", "auto", "queued", "annotated"];
  const GRADES = { untouched: "--untouched", poor: "--bad", fair: "--window", good: "--done" };
  const GRADES_BACK_TO_FRONT = ["untouched", "good", "fair", "poor"];
  const shown = (state) => !hidden.has(state);
  const gradeOf = (id) => (!(id in quality) ? "untouched" : quality[id] >= 0.8 ? "good" : quality[id] >= 0.5 ? "fair" : "poor");
  const across = ([x, y]) => [
    box.width / 2 + (x - view.x) * box.width * MARGIN * view.zoom,
    box.height / 2 - (y - view.y) * box.height * MARGIN * view.zoom,
  ];
  const back = (left, top) => [
    view.x + (left - box.width / 2) / (box.width * MARGIN * view.zoom),
    view.y - (top - box.height / 2) / (box.height * MARGIN * view.zoom),
  ];
  const cellOf = (value) => Math.min(CELLS - 1, Math.max(0, Math.floor(((value + 1) / 2) * CELLS)));

  function index() {
    cells = Array.from({ length: CELLS * CELLS }, () => []);
    points.forEach((point, at) => cells[cellOf(point[1]) * CELLS + cellOf(point[0])].push(at));
  }

  function draw() {
    const ratio = devicePixelRatio;
    [box.width, box.height] = [canvas.clientWidth, canvas.clientHeight];
    canvas.width = box.width * ratio;
    canvas.height = box.height * ratio;
    pen.scale(ratio, ratio);
    const size = Math.min(9, Math.max(2, 120 / Math.sqrt(points.length + 1))) * Math.min(2, Math.sqrt(view.zoom));
    const byState = colourBy.value === "state";
    for (const kind of byState ? BACK_TO_FRONT.filter(shown) : GRADES_BACK_TO_FRONT) {
      const radius = kind === "rest" || kind === "untouched" ? size / 2 : Math.max(2.5, size * 0.7);
      pen.fillStyle = style(byState ? COLOURS[kind] : GRADES[kind]);
      pen.globalAlpha = found === null ? 1 : 0.25;
      pen.beginPath();
      for (const point of points) {
        if (byState ? point[3] !== kind : gradeOf(point[2]) !== kind || !shown(point[3])) continue;
        const [left, top] = across(point);
        if (radius < 2) pen.rect(left - radius, top - radius, 2 * radius, 2 * radius);
        else {
          pen.moveTo(left + radius, top);
          pen.arc(left, top, radius, 0, 7);
        }
      }
      pen.fill();
    }
    pen.globalAlpha = 1;
    drawFound();
    drawRegions();
    if (chosen !== null) {
      const [left, top] = across(points[chosen]);
      pen.strokeStyle = style("--ink");
      pen.lineWidth = 2;
      pen.beginPath();
      pen.arc(left, top, 8, 0, 7);
      pen.stroke();
    }
  }

  function drawFound() {
    if (found === null) return;
    pen.fillStyle = style("--accent");
    for (const point of points) {
      if (!found.has(point[2])) continue;
      const [left, top] = across(point);
      pen.beginPath();
      pen.arc(left, top, 4.5, 0, 7);
      pen.fill();
    }
  }

  function drawRegions() {
    pen.font = `500 12px ${style("--sans")}`;
    pen.textAlign = "center";
    pen.lineWidth = 4;
    pen.lineJoin = "round";
    pen.strokeStyle = style("--surface");
    pen.fillStyle = style("--ink-2");
    for (const [x, y, words] of regions) {
      const [left, top] = across([x, y]);
      const half = pen.measureText(words).width / 2;
      const at = Math.min(box.width - half - 4, Math.max(half + 4, left));
      pen.strokeText(words, at, top);
      pen.fillText(words, at, top);
    }
  }

  const redraw = () => requestAnimationFrame(draw);

  function nearest(left, top, allowed = () => true) {
    // Whole rings of cells around the place, until a ring lies farther off than the best point.
    const [x, y] = back(left, top);
    const [column, row] = [cellOf(x), cellOf(y)];
    let best = null;
    let distance = Infinity;
    for (let ring = 0; ring < CELLS; ring++) {
      for (let r = row - ring; r <= row + ring; r++)
        for (let c = column - ring; c <= column + ring; c++) {
          if (Math.max(Math.abs(r - row), Math.abs(c - column)) !== ring || r < 0 || c < 0 || r >= CELLS || c >= CELLS) continue;
          for (const at of cells[r * CELLS + c]) {
            const [pointLeft, pointTop] = across(points[at]);
            const far = Math.hypot(pointLeft - left, pointTop - top);
            if (far < distance && shown(points[at][3]) && allowed(pointLeft - left, pointTop - top, at)) [best, distance] = [at, far];
          }
        }
      if (best !== null && (ring * 2 * MARGIN * view.zoom * Math.min(box.width, box.height)) / CELLS > distance) break;
    }
    return { best, distance };
  }

  async function tell(at) {
    chosen = at;
    redraw();
    if (at === null) {
      tip.hidden = true;
      return status.replaceChildren();
    }
    const [, , id, state] = points[at];
    const link = document.createElement("a");
    link.href = canvas.dataset.tasks + id;
    link.textContent = `Task ${id}`;
    if (!texts.has(id)) {
      const answer = await fetch(`${canvas.dataset.points}/${id}`);
      texts.set(id, answer.ok ? (await answer.json()).excerpt : "");
    }
    if (chosen !== at) return undefined;
    const excerpt = document.createElement("span");
    excerpt.className = "text";
    excerpt.textContent = texts.get(id);
    const { words } = boxes.find((each) => each.value === state).dataset;
    const [left, top] = across(points[at]);
    tip.textContent = texts.get(id);
    tip.classList.toggle("leftwards", left > box.width / 2);
    tip.style.left = `${left}px`;
    tip.style.top = `${top}px`;
    tip.hidden = false;
    return status.replaceChildren(link, `, ${words}: `, excerpt);
  }

  function zoom(factor, left = box.width / 2, top = box.height / 2) {
    const [x, y] = back(left, top);
    tip.hidden = true;
    view.zoom = Math.min(60, Math.max(1, view.zoom * factor));
    const [newX, newY] = back(left, top);
    view.x = Math.min(1, Math.max(-1, view.x + x - newX));
    view.y = Math.min(1, Math.max(-1, view.y + y - newY));
    if (view.zoom === 1) view = { x: 0, y: 0, zoom: 1 };
    redraw();
  }

  function step(horizontal, vertical) {
    if (chosen === null) return tell(nearest(box.width / 2, box.height / 2).best);
    const [left, top] = across(points[chosen]);
    const ahead = (dx, dy, at) =>
      at !== chosen && dx * horizontal + dy * vertical > Math.abs(dx * vertical) + Math.abs(dy * horizontal) - 1e-9;
    const { best } = nearest(left, top, ahead);
    return best === null ? undefined : tell(best);
  }

  const KEYS = {
    ArrowLeft: () => step(-1, 0),
    ArrowRight: () => step(1, 0),
    ArrowUp: () => step(0, -1),
    ArrowDown: () => step(0, 1),
    "+": () => zoom(1.5),
    "-": () => zoom(1 / 1.5),
    Enter: () => chosen !== null && location.assign(canvas.dataset.tasks + points[chosen][2]),
    Escape: () => tell(null),
  };

  canvas.addEventListener("keydown", (event) => {
    if (!(event.key in KEYS) || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    KEYS[event.key]();
  });

  colourBy.addEventListener("change", () => {
    document.getElementById("qualities").hidden = colourBy.value === "state";
    redraw();
  });

  let asked = 0;
  find.addEventListener("input", async () => {
    const words = find.value.trim();
    const mine = ++asked;
    if (words.length < 2) {
      found = null;
      foundWords.textContent = "";
      return redraw();
    }
    const answer = await fetch(`${canvas.dataset.find}?words=${encodeURIComponent(words)}`);
    if (mine !== asked || !answer.ok) return undefined;
    found = new Set((await answer.json()).tasks);
    foundWords.textContent = `${found.size === 1 ? "1 text has" : `${found.size} texts have`} these words.`;
    const first = points.findIndex((point) => found.has(point[2]));
    if (first >= 0) tell(first);
    return redraw();
  });

  let grip = null;
  canvas.addEventListener("pointerdown", (event) => {
    grip = { left: event.offsetX, top: event.offsetY, moved: false };
    canvas.setPointerCapture(event.pointerId);
  });
  canvas.addEventListener("pointermove", (event) => {
    if (grip && (grip.moved || Math.hypot(event.offsetX - grip.left, event.offsetY - grip.top) > 4)) {
      const [fromX, fromY] = back(grip.left, grip.top);
      const [toX, toY] = back(event.offsetX, event.offsetY);
      view.x += fromX - toX;
      view.y += fromY - toY;
      tip.hidden = true;
      grip = { left: event.offsetX, top: event.offsetY, moved: true };
      return redraw();
    }
    const { best, distance } = nearest(event.offsetX, event.offsetY);
    if (best !== chosen && best !== null && distance < REACH) tell(best);
    return undefined;
  });
  canvas.addEventListener("pointerup", (event) => {
    const moved = grip?.moved;
    grip = null;
    const { best, distance } = nearest(event.offsetX, event.offsetY);
    if (!moved && best !== null && distance < REACH) tell(best);
  });
  canvas.addEventListener("dblclick", () => chosen !== null && KEYS.Enter());
  canvas.addEventListener(
    "wheel",
    (event) => {
      // Elsewhere the wheel scrolls the page; a pinch arrives with the control key.
      if (!event.ctrlKey && document.activeElement !== canvas) return;
      event.preventDefault();
      zoom(event.deltaY < 0 ? 1.25 : 0.8, event.offsetX, event.offsetY);
    },
    { passive: false },
  );
  document.getElementById("zoom-in").addEventListener("click", () => zoom(1.5));
  document.getElementById("zoom-out").addEventListener("click", () => zoom(1 / 1.5));
  document.querySelector(".map .legend").addEventListener("change", () => {
    hidden = new Set(boxes.filter((each) => !each.checked).map((each) => each.value));
    redraw();
  });
  canvas.addEventListener("pointerleave", () => (tip.hidden = true));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  new ResizeObserver(redraw).observe(canvas);

  async function load() {
    const answer = await fetch(canvas.dataset.points);
    if (!answer.ok) return;
    const id = chosen === null ? null : points[chosen][2];
    ({ points, regions, quality } = await answer.json());
    chosen = id === null ? null : points.findIndex((point) => point[2] === id);
    if (chosen === -1) chosen = null;
    index();
    draw();
    canvas.dataset.drawn = points.length;
  }

  document.addEventListener("allabel:current", () => {
    const now = document.getElementById("map-version").value;
    if (now !== version) load();
    version = now;
  });
  load();
}
