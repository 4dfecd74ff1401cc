// The three living figures.  Their numbers come from docs/rendering/living.py, as JSON in the page.
"use strict";

// What is computed here and not in Python, so that a test can compare the two.

// π* of the optimum at a price, rows of probabilities: (regularised.2) with (regularised.3).
// Symbol 0 is the end, after which nothing is earned.
function policyAt(data, k) {
  const beta = data.points[k][0], values = data.values[k];
  return data.ref_logp.map((row, s) => softmax(row.map(
    (logp, a) => logp + (data.reward[s][a] + (a ? values[a] : 0)) / beta)));
}

function softmax(row) {
  const most = Math.max(...row), powers = row.map(x => Math.exp(x - most));
  const sum = powers.reduce((x, y) => x + y, 0);
  return powers.map(x => x / sum);
}

// A number as the page writes it, with a true minus.
function fixed(value, digits) {
  const text = value.toFixed(digits);
  return (/^-0\.?0*$/.test(text) ? text.slice(1) : text).replace("-", "−");
}

// The cell of the table of (ppo.1) in which a step is, in words.
function said(A, ratio, epsilon, gradient) {
  if (gradient === 0) return "dead: going further gains nothing";
  if (A > 0 ? ratio < 1 - epsilon : ratio > 1 + epsilon) {
    return "alive: it moved the wrong way, and is pulled back";
  }
  return A > 0 ? "alive: it is made likelier" : "alive: it is made less likely";
}

// Elements.

function element(tag, attributes, ...children) {
  const drawn = /^(svg|g|rect|line|polyline|circle|text|path|title)$/.test(tag);
  const made = drawn ? document.createElementNS("http://www.w3.org/2000/svg", tag)
    : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

function set(made, attributes) {
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
}

function word(x, y, text, attributes) {
  return element("text", Object.assign({ x, y }, attributes), text);
}

// A range with its label, its reading and two buttons for single steps.  `show(k)` draws, and
// returns the reading, and what a reader who does not see the figure is told.
function slider(name, last, start, show) {
  const range = element("input", { type: "range", min: 0, max: last, step: 1, value: start });
  const label = element("label", {}, element("span", {}, name), range), output = element("output");
  const update = () => {
    const [reading, told] = show(Number(range.value));
    output.textContent = reading;
    range.setAttribute("aria-valuetext", told);
  };
  const move = k => { range.value = k; update(); };
  const button = (sign, by, said) => {
    const made = element("button", { type: "button", "aria-label": said }, sign);
    made.addEventListener("click", () => move(Number(range.value) + by));
    return made;
  };
  range.addEventListener("input", update);
  const control = element("div", { class: "control" }, label, output,
    button("−", -1, `${name}, one step back`), button("+", 1, `${name}, one step on`));
  return { control, move, update };
}

// A table of one row of heads and some rows of numbers; `write(rows)` fills the latter.
function readings(heads) {
  const body = element("tbody");
  const table = element("table", { class: "readings" }, element("thead", {},
    element("tr", {}, ...heads.map(head => element("th", { scope: "col" }, head)))), body);
  const write = rows => body.replaceChildren(...rows.map(row => element("tr", {},
    ...row.map((cell, k) => element(k ? "td" : "th", k ? {} : { scope: "row" }, cell)))));
  return { table, write };
}

// The axes of a plot of 320 x 210, and where a point of it lies.
function plot(name, xs, ys, xTicks, yTicks, xName, yName) {
  const left = 34, right = 310, top = 20, bottom = 176;
  const X = x => left + (right - left) * (x - xs[0]) / (xs[1] - xs[0]);
  const Y = y => bottom - (bottom - top) * (y - ys[0]) / (ys[1] - ys[0]);
  const svg = element("svg", { viewBox: "0 0 320 210", role: "img", "aria-label": name });
  for (const [x, text] of xTicks) {
    svg.append(element("line", { x1: X(x), x2: X(x), y1: top, y2: bottom, class: "grid" }),
      word(X(x), bottom + 14, text, MIDDLE));
  }
  for (const [y, text] of yTicks) {
    svg.append(element("line", { x1: left, x2: right, y1: Y(y), y2: Y(y), class: "grid" }),
      word(left - 5, Y(y) + 4, text, { "text-anchor": "end" }));
  }
  svg.append(word(right, bottom + 30, xName, { "text-anchor": "end" }), word(0, 12, yName));
  const back = pixel => xs[0] + (xs[1] - xs[0]) * (pixel - left) / (right - left);
  return { svg, X, Y, back };
}

const MIDDLE = { "text-anchor": "middle" };

const line = points => points.map(([x, y]) => `${x.toFixed(1)},${y.toFixed(1)}`).join(" ");

// The three figures: each gives its elements and its slider.

const FIGURES = {
  frontier(data) {
    const { svg, X, Y } = plot("Reward against KL along the frontier", [0, 11], [-0.6, 4],
      [[0, "0"], [2, "2"], [4, "4"], [6, "6"], [8, "8"], [10, "10"]],
      [[0, "0"], [1, "1"], [2, "2"], [3, "3"], [4, "4"]], "KL, nats per string", "E[R]");
    const path = [[0, data.reference.reward], ...data.points.map(p => [p[2], p[1]])];
    const tangent = element("line", { class: "second" });
    const dot = element("circle", { r: 5, class: "dot" });
    const height = element("circle", { r: 4, class: "dot second" });
    svg.append(element("polyline", { class: "first",
      points: line(path.map(([kl, reward]) => [X(kl), Y(reward)])) }), tangent, height, dot);
    const numbers = readings(["", "E[R]", "KL", "J", "letters"]);
    const words = element("p", { class: "words" });
    const before = data.ref_logp.map(softmax);
    const maps = [heat(data, "π_ref, before", before), heat(data, "π*, after", before)];
    const bars = rowBars(data);
    let k = data.start, row = 20;
    const redraw = policy => {
      bars.show(before[row], policy[row]);
      maps.forEach(map => map.mark(row));
    };
    const chosen = element("select", {}, ...data.order.map(s =>
      element("option", { value: s }, s ? data.letters[s - 1] : "the start")));
    chosen.value = row;
    chosen.addEventListener("change", () => {
      row = Number(chosen.value);
      redraw(policyAt(data, k));
    });
    const show = at => {
      const [beta, reward, kl, J, length] = data.points[k = at], policy = policyAt(data, k);
      const end = Math.min(11, (4 - J) / beta);
      set(tangent, { x1: X(0), y1: Y(J), x2: X(end), y2: Y(J + beta * end) });
      set(dot, { cx: X(kl), cy: Y(reward) });
      set(height, { cx: X(0), cy: Y(J) });
      const start = fixed(data.reference.reward, 3);
      numbers.write([["π_ref", start, "0", start, fixed(data.reference.length, 1)],
        [`β = ${beta}`, ...[reward, kl, J].map(x => fixed(x, 3)), fixed(length, 1)]]);
      words.textContent = data.words[k].join(" · ");
      maps[1].show(policy);
      redraw(policy);
      return [`β = ${beta}`,
        `β ${beta}, reward ${fixed(reward, 2)}, KL ${fixed(kl, 2)}, J ${fixed(J, 2)}`];
    };
    const control = slider("price", data.points.length - 1, k, show);
    return { control, parts: [
      element("div", { class: "row" }, svg, element("div", {}, numbers.table,
        element("label", { class: "chosen" }, "after the letter", chosen), bars.svg)),
      element("p", { class: "head" }, "π_ref writes"),
      element("p", {}, data.reference.words.join(" · ")),
      element("p", { class: "head" }, "π* writes, from the same random numbers"), words,
      element("div", { class: "row" }, ...maps.map(map => map.svg))] };
  },

  clip(data) {
    const low = 1 - data.epsilon, high = 1 + data.epsilon;
    const panels = ["1", "-1"].map(key => {
      const A = Number(key), end = 2 * A;
      const name = A > 0 ? "A = 1, a good action" : "A = −1, a bad action";
      const { svg, X, Y, back } = plot(name, [0, 2], A > 0 ? [0, 2] : [-2, 0],
        [[0, "0"], [low, fixed(low, 1)], [high, fixed(high, 1)], [2, "2"]],
        [[0, "0"], [A, fixed(A, 0)], [end, fixed(end, 0)]], "ρ = π/π_old", name);
      const curve = alive => line(data.ratios.map((ratio, k) => [X(ratio), Y(data.terms[key][k])])
        .filter((_, k) => (data.gradients[key][k] !== 0) === alive));
      const dot = element("circle", { r: 6, class: A > 0 ? "dot" : "dot second" });
      const now = element("line", { class: "now", y1: 20, y2: 176 });
      svg.classList.add("drag");
      svg.append(element("line", { class: "dotted", x1: X(0), y1: Y(0), x2: X(2), y2: Y(end) }),
        element("polyline", { class: A > 0 ? "first" : "second", points: curve(true) }),
        element("polyline", { class: "dead", points: curve(false) }), now, dot);
      return { key, A, svg, X, Y, back, dot, now };
    });
    const numbers = readings(["", "ρ A", "clip(ρ) A", "minimum", "gradient"]);
    const spoken = element("p", {});
    const show = k => {
      const ratio = data.ratios[k], clipped = Math.min(Math.max(ratio, low), high);
      const [good, bad] = panels.map(
        ({ key, A }) => said(A, ratio, data.epsilon, data.gradients[key][k]));
      panels.forEach(({ key, X, Y, dot, now }) => {
        set(dot, { cx: X(ratio), cy: Y(data.terms[key][k]) });
        set(now, { x1: X(ratio), x2: X(ratio) });
        dot.classList.toggle("lost", data.gradients[key][k] === 0);
      });
      numbers.write(panels.map(({ key, A }) => [A > 0 ? "A = 1" : "A = −1", fixed(ratio * A, 2),
        fixed(clipped * A, 2), fixed(data.terms[key][k], 2),
        data.gradients[key][k] === 0 ? "0, dead" : `${fixed(data.gradients[key][k], 2)}, alive`]));
      spoken.replaceChildren(`The good action is ${good}.`, element("br"),
        `The bad action is ${bad}.`);
      return [`ρ = ${fixed(ratio, 2)}`,
        `ρ ${fixed(ratio, 2)}; the good action is ${good}; the bad action is ${bad}`];
    };
    const control = slider("ratio", data.ratios.length - 1, data.start, show);
    panels.forEach(({ svg, back }) => {
      const drag = event => {
        const box = svg.getBoundingClientRect();
        const ratio = back(320 * (event.clientX - box.left) / box.width);
        control.move(Math.round(100 * ratio) - Math.round(100 * data.ratios[0]));
      };
      svg.addEventListener("pointerdown", event => {
        svg.setPointerCapture(event.pointerId);
        drag(event);
      });
      svg.addEventListener("pointermove", event => {
        if (event.buttons) drag(event);
      });
    });
    return { control, parts: [element("div", { class: "row" }, ...panels.map(panel => panel.svg)),
      numbers.table, spoken] };
  },

  sweeps(data) {
    const side = 70, width = Math.round(Math.sqrt(data.symbols.length));
    const lake = element("svg", { viewBox: "0 0 320 286", role: "img", "aria-label": "The lake" });
    const cells = [...data.symbols].map((symbol, s) => {
      const x = 20 + side * (s % width), y = 3 + side * Math.floor(s / width);
      const ice = "SF".includes(symbol);
      const box = element("rect", { x, y, width: side, height: side, class: ice ? "ice" : "end" });
      const arrow = word(x + side / 2, y + 32, ice ? "" : symbol, { ...MIDDLE, class: "arrow" });
      const value = word(x + side / 2, y + 57, "", MIDDLE);
      lake.append(box, arrow, value);
      return { box, arrow, value, ice };
    });
    const frame = element("rect", { width: side - 4, height: side - 4, class: "frame" });
    lake.append(frame);
    const drawn = data.sweeps.map((sweep, k) => [sweep, data.changes[k]]).slice(1);
    const last = data.sweeps[data.sweeps.length - 1];
    const { svg, X, Y } = plot("The largest change of each sweep", [0, last], [-12, 0],
      [[0, "0"], [200, "200"], [400, "400"], [600, "600"]],
      [[0, "1"], [-3, "10⁻³"], [-6, "10⁻⁶"], [-9, "10⁻⁹"], [-12, "10⁻¹²"]], "sweeps",
      "largest change");
    const dot = element("circle", { r: 5, class: "dot" });
    svg.append(element("polyline", { class: "first",
      points: line(drawn.map(([sweep, change]) => [X(sweep), Y(Math.log10(change))])) }), dot);
    const numbers = readings(["", "largest change", "V at the start"]);
    const spoken = element("p", {});
    const show = k => {
      const sweep = data.sweeps[k], values = data.values[k], change = data.changes[k];
      const moved = values.map((value, s) => k ? value - data.values[k - 1][s] : 0);
      cells.forEach(({ box, arrow, value, ice }, s) => {
        if (!ice) return;
        value.textContent = fixed(values[s], 3);
        arrow.textContent = data.arrows[k][s].length === 4 ? "·" : data.arrows[k][s];
        box.style.setProperty("fill-opacity", 0.75 * values[s]);
      });
      const most = moved.indexOf(Math.max(...moved));
      set(frame, { x: 22 + side * (most % width), y: 5 + side * Math.floor(most / width),
        visibility: k && sweep === data.sweeps[k - 1] + 1 ? "visible" : "hidden" });
      set(dot, { visibility: k ? "visible" : "hidden" });
      if (k) set(dot, { cx: X(sweep), cy: Y(Math.log10(change)) });
      const about = change === null ? "none yet" : scientific(change);
      numbers.write([[`sweep ${sweep}`, about, fixed(values[0], 4)],
        ["the best", "0", fixed(data.best, 4)]]);
      spoken.textContent = sweep >= data.settled ? "The greedy policy is the best one."
        : "The greedy policy is not yet the best one.";
      return [`sweep ${sweep}`, `sweep ${sweep}, largest change ${about}, `
        + `V at the start ${fixed(values[0], 3)}.  ${spoken.textContent}`];
    };
    const control = slider("sweeps", data.sweeps.length - 1, data.start, show);
    return { control, parts: [element("div", { class: "row" }, lake,
      element("div", {}, svg, numbers.table, spoken,
        element("p", {}, "An arrow is a move that is best by these values.  A dot means that all "
          + "four are.  The frame marks the cell that changed most.  Beyond sweep 50 the slider "
          + "takes longer steps.")))] };
  },
};

// A small number as 0.00547 or 1.2 · 10⁻⁷.
function scientific(value) {
  if (value >= 1e-3) return String(Number(value.toPrecision(3)));
  const [digits, power] = value.toExponential(1).split("e-");
  return `${digits} · 10⁻${[...power].map(digit => "⁰¹²³⁴⁵⁶⁷⁸⁹"[digit]).join("")}`;
}

// A policy of letters: rows are the letter before, columns the letter that follows.
function heat(data, title, policy) {
  const size = 10, left = 22, top = 32, symbols = data.order;
  const svg = element("svg", { viewBox: "0 0 320 306", role: "img", "aria-label":
    `${title}: the chance of each next letter, one row per letter before it` });
  const width = symbols.length * size;
  svg.append(word(left, 12, title),
    word(left + width, 12, "next letter →", { "text-anchor": "end" }));
  const cells = symbols.map((s, i) => {
    const y = top + size * i, letter = data.letters[s - 1];
    svg.append(word(left - 5, y + 8, letter || "start", { "text-anchor": "end", class: "tiny" }),
      word(left + size * i + 5, top - 4, letter || "■", { ...MIDDLE, class: "tiny" }));
    return symbols.map((a, j) => {
      const cell = element("rect",
        { x: left + size * j, y, width: size, height: size, class: "heat" });
      svg.append(cell);
      return cell;
    });
  });
  const frame = element("rect", { x: left, width, height: size, class: "frame" });
  svg.append(frame);
  const show = table => symbols.forEach((s, i) => symbols.forEach((a, j) =>
    cells[i][j].style.setProperty("fill-opacity", Math.min(1, 1.3 * Math.sqrt(table[s][a])))));
  show(policy);
  const mark = row => set(frame, { y: top + size * symbols.indexOf(row) });
  return { svg, show, mark };
}

// One row of the two policies, as bars.
function rowBars(data) {
  const step = 11, bottom = 120, svg = element("svg", { viewBox: "0 0 320 136", role: "img" });
  const pairs = data.order.map((a, j) => {
    const pair = ["before", "after"].map((when, k) =>
      element("rect", { x: 13 + step * j + 4 * k, width: 4, class: when }));
    const letter = data.letters[a - 1] || "■";
    svg.append(...pair, word(17 + step * j, bottom + 12, letter, { ...MIDDLE, class: "tiny" }));
    return pair;
  });
  svg.append(element("line", { x1: 10, x2: 311, y1: bottom, y2: bottom, class: "grid" }));
  for (const [x, when, name] of [[150, "before", "π_ref"], [210, "after", "π*"]]) {
    svg.append(element("rect", { x, y: 4, width: 8, height: 10, class: when }),
      word(x + 13, 13, name));
  }
  svg.append(word(250, 13, "■ the end"));
  const show = (before, after) => {
    const most = Math.max(...before, ...after);
    pairs.forEach((pair, j) => [before, after].forEach((row, k) => {
      const height = 100 * row[data.order[j]] / most;
      set(pair[k], { y: bottom - height, height });
    }));
    svg.setAttribute("aria-label", `chances of the next letter, at most ${fixed(most, 2)}`);
  };
  return { svg, show };
}

if (typeof module !== "undefined") {
  module.exports = { policyAt, fixed, said, scientific };
} else {
  for (const figure of document.querySelectorAll("figure.living")) {
    const data = JSON.parse(figure.querySelector("script").textContent);
    const { control, parts } = FIGURES[figure.dataset.living](data);
    control.update();
    figure.querySelector("figcaption").before(
      element("div", { class: "moving" }, control.control, ...parts));
    figure.classList.add("on");
  }
}
