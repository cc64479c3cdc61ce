// What the pages do beyond being read: theme, copy buttons, the place in the contents, the search key.
const root = document.documentElement;
const words = JSON.parse(root.dataset.words || "{}"); // of the page's language, where that is not English
const told = text => words[text] ?? text;
const dark = matchMedia("(prefers-color-scheme: dark)");

const toggle = document.querySelector("button.theme");
const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : dark.matches);
const label = () => toggle.setAttribute("aria-label", told(isDark() ? "Change to light" : "Change to dark"));
toggle.hidden = false;
toggle.addEventListener("click", () => {
  root.dataset.theme = isDark() ? "light" : "dark";
  try { localStorage.theme = root.dataset.theme; } catch { /* the choice lasts for this page */ }
  label();
});
dark.addEventListener("change", label);
label();

for (const code of document.querySelectorAll("div.highlight")) {
  if (code.closest(".cell_output")) continue;
  const button = document.createElement("button");
  const say = (text, label) => { button.textContent = told(text); button.setAttribute("aria-label", told(label)); };
  button.className = "copy";
  button.type = "button";
  say("Copy", "Copy the code");
  button.addEventListener("click", async () => {
    const typed = code.querySelector("pre").cloneNode(true);
    const answers = typed.querySelectorAll(".gp, .go"); // prompts, and what was answered
    for (const answer of answers) answer.remove();
    try {
      await navigator.clipboard.writeText(typed.textContent.trimEnd().replace(/\n+/g, answers.length ? "\n" : "$&"));
      say("Copied", "Copied");
    } catch { // not over plain http
      getSelection().selectAllChildren(code.querySelector("pre"));
      say("Press Ctrl-C", "Selected: press Ctrl-C");
    }
    setTimeout(() => say("Copy", "Copy the code"), 1500);
  });
  code.append(button);
}

// on paper folded code is open: by style where the browser can, otherwise here
if (!CSS.supports("selector(::details-content)")) {
  let opened = [];
  addEventListener("beforeprint", () => {
    opened = [...document.querySelectorAll("details.hide:not([open])")].filter(folded => !folded.closest(".tag_solution"));
    for (const folded of opened) folded.open = true;
  });
  addEventListener("afterprint", () => { for (const folded of opened) folded.open = false; });
}

const boxes = document.querySelectorAll("pre, div.math, .scroll, .mermaid, .text_html, .par-figure");
const reach = some => { // all are measured before any is changed: one layout, not one a box
  for (const [box, wide] of [...some].map(box => [box, box.scrollWidth > box.clientWidth + 1]))
    if (wide) box.tabIndex = 0;
    else box.removeAttribute("tabindex");
};
const resized = new ResizeObserver(entries => reach(entries.map(entry => entry.target)));
boxes.forEach(box => resized.observe(box));
document.fonts.ready.then(() => reach(boxes));

const links = new Map([...document.querySelectorAll(".contents a")].map(link => [decodeURIComponent(link.hash.slice(1)), link]));
const seen = new IntersectionObserver(entries => {
  for (const entry of entries) entry.target.dataset.seen = entry.isIntersecting ? "1" : "";
  const first = [...links.keys()].find(id => document.getElementById(id)?.dataset.seen);
  if (first === undefined) return;
  for (const [id, link] of links) link.toggleAttribute("data-here", id === first);
}, { rootMargin: "-10% 0px -60%" });
for (const id of links.keys()) if (id) seen.observe(document.getElementById(id));

const field = document.querySelector(".search input");
const query = new URLSearchParams(location.search).get("q");
if (query && document.getElementById("search-results")) field.value = query;
document.getElementById("ask")?.toggleAttribute("hidden", Boolean(query));
document.addEventListener("keydown", event => {
  const typing = event.target.closest("input, textarea, select");
  if ((event.key === "k" && (event.ctrlKey || event.metaKey)) || (event.key === "/" && !typing)) {
    event.preventDefault();
    field.focus();
  }
});

// the same place in the other language: ids are the same in both
document.querySelector("a.tongue")?.addEventListener("click", event => { event.currentTarget.hash = location.hash; });
