// Figures that compute while a reader moves something. lib/book/moving.py writes picture, data and words; here is the
// arithmetic: each function turns data and the values of the controls into places of parts, and into what the words say.
const decimals = (value, digits) => value.toFixed(digits).replace(/^-(?=[0.]+$)/, "").replace("-", "\u2212");
const percent = share => `${decimals(100 * share, share > 0.999 && share < 1 ? 2 : 1)} %`;
const whole = count => count.toLocaleString("en");
const sum = values => values.reduce((total, value) => total + value, 0);

const KINDS = {
  // what rank r keeps of a matrix: squared singular values, the distance to the best matrix of rank r, numbers to store
  rank({ spectra, shapes, names }, [rank, which = 0]) {
    const spectrum = spectra[which], [rows, columns] = shapes[which], squares = spectrum.map(value => value * value);
    const kept = sum(squares.slice(0, rank)) / sum(squares), stored = rank * (rows + columns);
    const steps = (from, to) => [[from + 0.5, 0], ...spectrum.slice(from, to).flatMap((value, index) =>
      [[from + index + 0.5, value], [from + index + 1.5, value]]), [to + 0.5, 0]];
    return {
      parts: { kept: steps(0, rank), lost: steps(rank, spectrum.length) },
      said: {
        rank: whole(rank), name: names[which], kept: percent(kept), error: percent(Math.sqrt(Math.max(0, 1 - kept))),
        stored: whole(stored), share: percent(stored / rows / columns),
      },
    };
  },

  // L2 and early stopping from zero on 1/2 (w - target)' H (w - target), H = R diag(h) R': each shrinks along R's axes
  shrinkage({ curvature, axes, target, rate }, [strength, steps]) {
    const turned = along => [0, 1].map(row => axes[row][0] * along[0] + axes[row][1] * along[1]);
    const along = [0, 1].map(column => axes[0][column] * target[0] + axes[1][column] * target[1]);
    const stopped = count => curvature.map((h, i) => along[i] * (1 - (1 - rate * h) ** count));
    const shrunk = curvature.map((h, i) => along[i] * h / (h + strength));
    const loss = place => sum(curvature.map((h, i) => h * (place[i] - along[i]) ** 2)) / 2;
    const ended = stopped(steps), radius = Math.hypot(...shrunk), level = Math.sqrt(2 * loss(shrunk));
    const round = [...Array(121).keys()].map(step => step * Math.PI / 60);
    const place = point => turned(point).map(value => decimals(value, 2)).join(", ");
    return {
      parts: {
        ball: round.map(angle => [radius * Math.cos(angle), radius * Math.sin(angle)]),
        contour: round.map(angle => turned([Math.cos, Math.sin].map((wave, i) =>
          along[i] + level * wave(angle) / Math.sqrt(curvature[i])))),
        steps: [...Array(steps + 1).keys()].map(count => turned(stopped(count))),
        shrunk: [turned(shrunk)], ended: [turned(ended)],
      },
      said: {
        strength: String(strength), steps: whole(steps), shrunk: place(shrunk), ended: place(ended),
        shrunk_loss: decimals(loss(shrunk), 2), ended_loss: decimals(loss(ended), 2),
        apart: decimals(Math.hypot(...shrunk.map((value, i) => value - ended[i])), 2),
        match: steps ? decimals(1 / (rate * steps), 3) : "infinite",
      },
    };
  },
};

for (const figure of document.querySelectorAll(".par-moving")) {
  const { data, frame, values } = JSON.parse(figure.dataset.told);
  const inputs = [...figure.querySelectorAll("input")], words = figure.querySelector(".par-said");
  const at = ([x, y]) => [frame.x[0] + frame.x[1] * x, frame.y[0] + frame.y[1] * y].map(value => value.toFixed(2));
  const update = () => {
    const { parts, said } = KINDS[figure.dataset.kind](data, inputs.map((input, i) => values[i][input.value]));
    for (const [name, points] of Object.entries(parts)) {
      const part = figure.querySelector(`[data-part="${name}"]`), marker = part.querySelector("use");
      if (marker) [["x", 0], ["y", 1]].forEach(([key, i]) => marker.setAttribute(key, at(points[0])[i]));
      else part.querySelector("path").setAttribute("d", `M ${points.map(point => at(point).join(" ")).join(" L ")}`);
    }
    for (const input of inputs) {
      const text = JSON.parse(input.dataset.values)[input.value];
      input.setAttribute("aria-valuetext", text);
      input.nextElementSibling.value = text;
    }
    words.textContent = figure.dataset.words.replace(/\{(\w+)\}/g, (_, name) => said[name]);
  };
  for (const input of inputs) {
    input.addEventListener("input", update);
    input.parentElement.style.display = "flex";
    input.parentElement.hidden = false;
  }
  update();
}
