// Line plots over time, as SVG: seconds along x, one or two lines, the value under the pointer.

const W = 560, H = 150, LEFT = 52, RIGHT = 8, TOP = 10, BOTTOM = 20;
const SVG = "http://www.w3.org/2000/svg";

function node(tag, attributes, text) {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  if (text !== undefined) made.textContent = text;
  return made;
}

// A round number not below `most`: 1, 2 or 5 times a power of ten.
export function roof(most) {
  if (!(most > 0)) return 1;
  const power = 10 ** Math.floor(Math.log10(most));
  return [1, 2, 5, 10].map((n) => n * power).find((n) => n >= most * (1 - 1e-9));
}

// `lines`: [{name, values}]; `times`: unix seconds; `say(value)` names a value with its unit.
export function plot(place, title, times, lines, say) {
  const top = roof(Math.max(...lines.flatMap((line) => line.values), 0));
  const first = times[0] ?? 0, span = Math.max(1, (times.at(-1) ?? 1) - first);
  const x = (t) => LEFT + (W - LEFT - RIGHT) * (t - first) / span;
  const y = (v) => TOP + (H - TOP - BOTTOM) * (1 - v / top);
  const svg = node("svg", { viewBox: `0 0 ${W} ${H}`, role: "img", "aria-label": summary(title, lines, say) });
  for (const share of [0, 0.5, 1]) {
    const at = y(top * share);
    svg.append(node("line", { x1: LEFT, x2: W - RIGHT, y1: at, y2: at, class: "grid" }));
    svg.append(node("text", { x: LEFT - 6, y: at + 4, class: "tick end" }, say(top * share)));
  }
  if (times.length > 1) {
    svg.append(node("text", { x: LEFT, y: H - 5, class: "tick" }, ago(times.at(-1) - first)));
    svg.append(node("text", { x: W - RIGHT, y: H - 5, class: "tick end" }, "now"));
  }
  lines.forEach((line, i) => {
    const points = line.values.map((v, j) => `${x(times[j]).toFixed(1)},${y(Math.min(v, top)).toFixed(1)}`);
    svg.append(node("polyline", { points: points.join(" "), class: `line line${i}` }));
  });
  const legend = lines.map((line, i) => {
    const made = document.createElement("span");
    made.className = `legend legend${i}`;
    made.textContent = `${line.name} ${say(line.values.at(-1) ?? 0)}`;
    return made;
  });
  const heading = document.createElement("h3");
  heading.textContent = title;
  const caption = document.createElement("p");
  caption.className = "caption";
  caption.append(heading, ...legend);
  pointer(svg, times, lines, say, x, legend);
  place.replaceChildren(caption, svg);
}

function summary(title, lines, say) {
  return `${title}: ${lines.map((l) => `${l.name} now ${say(l.values.at(-1) ?? 0)}, most ${say(Math.max(0, ...l.values))}`).join("; ")}`;
}

function ago(s) {
  return s < 90 ? `${Math.round(s)} s ago` : `${Math.round(s / 60)} min ago`;
}

// The values of the second under the pointer, in the legend.
function pointer(svg, times, lines, say, x, legend) {
  const mark = node("line", { y1: TOP, y2: H - BOTTOM, class: "mark", visibility: "hidden" });
  svg.append(mark);
  svg.addEventListener("pointermove", (event) => {
    if (!times.length) return;
    const box = svg.getBoundingClientRect();
    const at = (event.clientX - box.left) / box.width * W;
    let best = 0;
    times.forEach((t, i) => { if (Math.abs(x(t) - at) < Math.abs(x(times[best]) - at)) best = i; });
    mark.setAttribute("x1", x(times[best]));
    mark.setAttribute("x2", x(times[best]));
    mark.setAttribute("visibility", "visible");
    lines.forEach((line, i) => { legend[i].textContent = `${line.name} ${say(line.values[best])}`; });
  });
  svg.addEventListener("pointerleave", () => {
    mark.setAttribute("visibility", "hidden");
    lines.forEach((line, i) => { legend[i].textContent = `${line.name} ${say(line.values.at(-1) ?? 0)}`; });
  });
}
