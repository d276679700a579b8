"use strict";
// Tables sort by a button in each heading. Without scripts they stand in the order they were written.
for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const up = head.getAttribute("aria-sort") !== "ascending";
      heads.forEach((one) => one.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", up ? "ascending" : "descending");
      const key = (row) => row.cells[column].dataset.v ?? row.cells[column].textContent.trim();
      const rows = [...table.tBodies[0].rows];
      rows.sort((a, b) => {
        const x = key(a), y = key(b);
        // What is not known comes last, whichever way round.
        if (x === "" || y === "") return (x === "") - (y === "");
        const numbers = column > 0 && !isNaN(x) && !isNaN(y);
        return (up ? 1 : -1) * (numbers ? x - y : x.localeCompare(y));
      });
      table.tBodies[0].append(...rows);
    });
  });
}

// The timeline: one range input moves a line through every plot and writes the values beside their names.
for (const box of document.querySelectorAll(".moments")) {
  const data = JSON.parse(box.querySelector(".moments-data").textContent);
  const range = box.querySelector("input[type=range]");
  const last = data.x.length - 1;
  const span = data.x[last] - data.x[0] || 1;
  const panels = [...box.querySelectorAll(".panel")];
  const shown = (value) => value.toLocaleString("en", Math.abs(value) < 1 ? { maximumSignificantDigits: 2 } : { maximumFractionDigits: 1 });
  const show = () => {
    const at = Number(range.value);
    const text = shown(data.x[at]) + " " + data.x_label;
    box.querySelector(".moment").textContent = text;
    range.setAttribute("aria-valuetext", text);
    panels.forEach((panel, i) => {
      const cursor = panel.querySelector(".cursor");
      cursor.hidden = false;
      cursor.style.left = (100 * (data.x[at] - data.x[0])) / span + "%";
      panel.querySelectorAll("output").forEach((out, k) => { out.textContent = shown(data.series[i][k][at]); });
    });
  };
  for (const panel of panels) {
    const plot = panel.querySelector(".plot");
    plot.addEventListener("pointermove", (event) => {
      const place = plot.getBoundingClientRect();
      const x = data.x[0] + (span * (event.clientX - place.left)) / place.width;
      let best = 0;
      data.x.forEach((one, i) => { if (Math.abs(one - x) < Math.abs(data.x[best] - x)) best = i; });
      range.value = best;
      show();
    });
  }
  range.addEventListener("input", show);
  range.value = Math.round(last / 2);
  box.querySelector(".scrub").hidden = false;
  show();
}
