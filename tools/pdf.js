// Turns an open page into what paper can show, given the site's address and the words of its language; returns headings.
({ home, words }) => {
  const article = document.querySelector("article");
  const say = text => words[text] ?? text;
  const make = (tag, text = "") => Object.assign(document.createElement(tag), { textContent: text });
  const append = (title, parts) => {
    if (!parts.length) return;
    const section = make("section");
    section.append(make("h2", title), ...parts.flat());
    (article.querySelector("section") ?? article).append(section);
  };

  // solutions and answers stand at the end
  const exercises = [...document.querySelectorAll(".exercise > strong:first-child, .exercise > p > strong:first-child")];
  append(say("Solutions"), [...document.querySelectorAll(".tag_solution")].map(cell => {
    const before = exercises.filter(name => name.compareDocumentPosition(cell) & Node.DOCUMENT_POSITION_FOLLOWING);
    cell.querySelector("details").open = true;
    return [make("h3", before.at(-1)?.textContent.replace(/\.$/, "") ?? say("Solution")), cell];
  }));
  append(say("Answers to the quiz"), [...document.querySelectorAll(".par-quiz > li")].map((question, place) => {
    const right = question.querySelector(".par-right").cloneNode(true), line = make("p");
    line.append(make("strong", `${place + 1}. `), ...right.querySelector("summary").childNodes, say("."),
                ...[...right.querySelector("p").childNodes].slice(1)); // without its first word, "Right."
    return line;
  }));

  // code that is folded away stays away; of a slider its first picture is left
  for (const folded of document.querySelectorAll("details.hide:not([open])")) folded.remove();
  for (const slider of document.querySelectorAll(".par-slider")) {
    const frames = slider.querySelectorAll("[data-frame]").length;
    for (const control of slider.querySelectorAll("input")) control.replaceWith(say(":") + " ");
    slider.append(make("p", say("The first of %s pictures; the slider on the site shows the others.").replace("%s", frames)));
  }

  // what is too wide shrinks
  for (const box of document.querySelectorAll("div.math, .scroll, .mermaid, .text_html, .par-figure"))
    if (box.scrollWidth > box.clientWidth + 1) box.style.zoom = box.clientWidth / (box.scrollWidth + 2);

  // links that leave the page lead to the published site; what can be linked to is, so that the file knows its place
  for (const link of document.querySelectorAll("main a[href]"))
    if (link.origin === location.origin && link.pathname !== location.pathname)
      link.href = new URL(home).origin + link.pathname + link.search + link.hash;
  const places = Object.assign(make("nav"), { hidden: true });
  places.append(...[...document.querySelectorAll("main [id]:not(svg *)")].map(
    place => Object.assign(make("a"), { href: `#${place.id}` })));
  document.body.append(places);

  for (const mark of document.querySelectorAll(".headerlink")) mark.remove();
  return [...document.querySelectorAll("h1, h2, h3, h4")].map(heading => heading.textContent.trim());
}
