// What pages do better with JavaScript: copy buttons, and figures of a chart under the pointer. All of them work without.
"use strict";

for (const button of document.querySelectorAll("[data-copy]")) {
  const target = document.getElementById(button.dataset.copy);
  if (!target || !navigator.clipboard) continue;
  button.hidden = false;
  button.addEventListener("click", async () => {
    const before = button.textContent;
    try {
      await navigator.clipboard.writeText(target.textContent);
      button.textContent = "Copied";
    } catch {
      button.textContent = "Press Ctrl+C";
      getSelection().selectAllChildren(target);
    }
    setTimeout(() => { button.textContent = before; }, 1500);
  });
}

// Code to take away names the address by which the reader has come.
for (const place of document.querySelectorAll("[data-base]")) {
  for (const code of place.querySelectorAll("code, pre")) {
    code.textContent = code.textContent.replaceAll(place.dataset.base, location.origin);
  }
}

// A picture becomes its own SVG in the page, whose marks say their figures when pointed at.
async function open(figure) {
  const image = figure.querySelector("img");
  const answer = await fetch(image.currentSrc || image.src);
  if (!answer.ok) return;
  const parsed = new DOMParser().parseFromString(await answer.text(), "image/svg+xml");
  const drawn = parsed.documentElement;
  if (drawn.nodeName !== "svg") return;
  drawn.setAttribute("role", "img");
  drawn.setAttribute("aria-label", image.alt);
  const tip = document.createElement("div");
  tip.className = "tip";
  tip.hidden = true;
  figure.querySelector("picture").replaceWith(document.adoptNode(drawn));
  figure.append(tip);
  drawn.addEventListener("pointermove", (event) => {
    const mark = event.target.closest("[aria-roledescription][aria-label]");
    const kind = mark && mark.getAttribute("aria-roledescription");
    tip.hidden = !mark || /axis|legend|title|container/.test(kind);
    if (tip.hidden) return;
    tip.textContent = mark.getAttribute("aria-label");
    const box = figure.getBoundingClientRect();
    tip.style.setProperty("--x", `${Math.min(event.clientX - box.left + 12, box.width - 240)}px`);
    tip.style.setProperty("--y", `${event.clientY - box.top + 16}px`);
  });
  drawn.addEventListener("pointerleave", () => { tip.hidden = true; });
}

if (matchMedia("(hover: hover)").matches) {
  for (const figure of document.querySelectorAll("[data-chart]")) {
    figure.addEventListener("pointerenter", () => { open(figure).catch(() => {}); }, { once: true });
  }
}

// Fields that are left empty stay out of the address of a form's answer.
for (const form of document.querySelectorAll("form[data-clean]")) {
  form.addEventListener("formdata", (event) => {
    for (const [name, value] of [...event.formData]) if (!String(value).trim()) event.formData.delete(name);
  });
}
