// Renders formulas and flowcharts for the Sphinx extension: one JSON request a line in, one JSON answer a line out.
import { createInterface } from "node:readline";
import { renderMermaidSVG } from "beautiful-mermaid";
import katex from "katex";

// KaTeX adds the source of each formula, which no page shows and the notebooks hold, and a namespace that HTML implies.
const SILENT = / xmlns="[^"]*MathML"|<annotation.*?<\/annotation>|<\/?semantics>/gs;
const math = ({ tex, display }) =>
  katex.renderToString(tex, { displayMode: display, throwOnError: true, strict: "error" }).replace(SILENT, "");

// beautiful-mermaid skips what it does not understand. So the source is read here by a strict grammar for the part of
// Mermaid's flowchart language that the book uses, and the drawing must hold exactly the nodes and edges read.
const SHAPE = String.raw`(?:\["[^"]+"\]|\("[^"]+"\)|\(\["[^"]+"\]\)|\{"[^"]+"\}|\(\("[^"]+"\)\)|\[\("[^"]+"\)\])`;
const NODE = new RegExp(String.raw`^([A-Za-z]\w*)(${SHAPE})?\s*`);
const EDGE = /^(-->|---|-\.->|==>)(?:\|"?([^|"]+)"?\|)?\s*/;
const WORDS = new Set(["end", "graph", "subgraph", "style", "click", "class"]);

function read(source) {
  const [header, ...lines] = source.split("\n").map(line => line.trim()).filter(line => line && !line.startsWith("%%"));
  if (!/^(flowchart|graph) (TB|TD|LR|BT|RL)$/.test(header)) throw new Error(`expected "flowchart LR", got "${header}"`);
  const graph = { nodes: new Set(), edges: [], classes: {}, text: {}, kept: [header] };
  let depth = 0;
  for (const line of lines) {
    const note = line.match(/^(accTitle|accDescr): *(.+)$/);
    const marked = line.match(/^class ([\w,]+) (\w+)$/);
    if (note) { graph.text[note[1]] = note[2]; continue; }
    if (marked) { for (const id of marked[1].split(",")) graph.classes[id] = marked[2]; continue; }
    graph.kept.push(line);
    if (/^subgraph \w+ ?\["[^"]+"\]$/.test(line)) { depth += 1; continue; }
    if (line === "end") { depth -= 1; continue; }
    if (/^direction (TB|TD|LR|BT|RL)$/.test(line)) continue;
    for (let rest = line, from = null, edge = null; ;) {
      const node = rest.match(NODE);
      if (!node || WORDS.has(node[1])) throw new Error(`cannot read "${rest}" in "${line}"`);
      graph.nodes.add(node[1]);
      if (edge) graph.edges.push(`${from} ${node[1]} ${edge[2] ?? ""}`);
      rest = rest.slice(node[0].length);
      if (!rest) break;
      edge = rest.match(EDGE);
      if (!edge) throw new Error(`cannot read "${rest}" in "${line}"`);
      rest = rest.slice(edge[0].length);
      from = node[1];
    }
  }
  if (depth) throw new Error("every subgraph needs its end");
  for (const key of ["accTitle", "accDescr"]) if (!graph.text[key]) throw new Error(`a diagram needs a line "${key}: ..."`);
  for (const id of Object.keys(graph.classes)) if (!graph.nodes.has(id)) throw new Error(`no node "${id}" to give a class to`);
  return graph;
}

const unescape = text => text.replace(/&(amp|lt|gt|quot);/g, (_, name) => ({ amp: "&", lt: "<", gt: ">", quot: '"' })[name]);
const escape = text => text.replace(/[&<>"]/g, sign => `&#${sign.codePointAt(0)};`);

// A flowchart that runs sideways is also drawn downwards, for narrow screens; one too wide for the column, only so.
// What is still too wide for a phone is drawn once more with its labels in two lines.
const COLUMN = 900;
const PHONE = 350;
const width = svg => +svg.match(/--width:(\d+)px/)[1];
const stacked = line => line.replace(/(?<=[[({]")[^"<]{13,}(?=")/g, label => {
  const words = label.split(" ");
  const pairs = words.map((_, place) => [words.slice(0, place).join(" "), words.slice(place).join(" ")]);
  const longest = pair => Math.max(...pair.map(part => part.length));
  return pairs.reduce((best, pair) => longest(pair) < longest(best) ? pair : best).filter(Boolean).join("<br>");
});

function diagram({ source, id }) {
  const graph = read(source);
  const [header, ...lines] = graph.kept;
  const wide = picture(graph, [header, ...lines], id, "wide");
  const sideways = / (LR|RL)$/.test(header);
  if (!sideways && width(wide) <= PHONE) return wide;
  let tall = picture(graph, ["flowchart TB", ...lines], `${id}-tall`, "tall");
  if (width(tall) > PHONE) tall = picture(graph, ["flowchart TB", ...lines.map(stacked)], `${id}-tall`, "tall", 12);
  return sideways && width(wide) > COLUMN ? tall : wide + tall;
}

function picture(graph, lines, id, kind, nodeSpacing = 20) {
  let svg = renderMermaidSVG(lines.join("\n"), { transparent: true, padding: 4, nodeSpacing, layerSpacing: 36 });
  const nodes = [...svg.matchAll(/class="node" data-id="([^"]+)"/g)].map(match => match[1]);
  const edges = [...svg.matchAll(/class="edge" data-from="([^"]+)" data-to="([^"]+)"([^>]*)/g)].map(
    ([, from, to, rest]) => `${from} ${to} ${unescape(rest.match(/data-label="([^"]*)"/)?.[1] ?? "")}`);
  const same = (a, b) => JSON.stringify([...a].sort()) === JSON.stringify([...b].sort());
  if (!same(nodes, graph.nodes) || !same(edges, graph.edges)) throw new Error(`drawn ${nodes} and ${edges}, wanted ${[...graph.nodes]} and ${graph.edges}`);
  const [, width, height] = svg.match(/width="([\d.]+)" height="([\d.]+)"/);
  const head = `<svg class="diagram ${kind}" viewBox="0 0 ${width} ${height}" role="img" aria-labelledby="${id}-title ${id}-text" `
    + `style="--width:${Math.ceil(width)}px"><title id="${id}-title">${escape(graph.text.accTitle)}</title>`
    + `<desc id="${id}-text">${escape(graph.text.accDescr)}</desc>`;
  svg = svg.replace(/<style>[^]*?<\/style>/, "").replace(/<svg[^>]*>/, head)
    .replace(/id="arrowhead/g, `id="${id}-arrow`).replace(/url\(#arrowhead/g, `url(#${id}-arrow`)
    .replace(/class="node" data-id="([^"]+)"/g, (all, node) => graph.classes[node] ? `class="node ${graph.classes[node]}"` : 'class="node"');
  return svg.replace(/ data-[\w-]+="[^"]*"/g, "").replace(/\n\s*/g, "\n").replace(/(\.\d\d)\d+/g, "$1");
}

for await (const line of createInterface({ input: process.stdin })) {
  const request = JSON.parse(line);
  let answer;
  try { answer = { html: (request.tex === undefined ? diagram : math)(request) }; } catch (error) { answer = { error: error.message }; }
  process.stdout.write(JSON.stringify(answer) + "\n");
}
