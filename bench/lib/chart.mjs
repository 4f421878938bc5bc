// A result's rows as an SVG: medians as dots, min–max as lines, one panel for each chart of the result. Drawn by Observable Plot on
// linkedom's document, so that no browser is needed.

/** The SVG's text, or null where the packages of bench/ are not installed. `charts` are `{title, unit, log, bars}`. */
export async function draw(name, result, { date, machine }) {
  let Plot;
  let parseHTML;
  try {
    [Plot, { parseHTML }] = await Promise.all([import("@observablehq/plot"), import("linkedom")]);
  } catch (error) {
    if (error.code !== "ERR_MODULE_NOT_FOUND") throw error;
    return null;
  }
  const { document } = parseHTML("<html><body></body></html>");
  const WIDTH = 860;
  let top = 46;
  const panels = [];
  for (const chart of result.charts) {
    const bars = chart.bars.filter(({ median }) => median !== null);
    if (bars.length === 0) continue;
    const height = 48 + bars.length * 22;
    const color = ({ label }) =>
      label.startsWith("supervisor") && !label.startsWith("supervisord") ? "#d1495b" : "#4a6fa5";
    const plot = Plot.plot({
      document,
      width: WIDTH,
      height,
      marginLeft: 330,
      marginRight: 70,
      x: { label: chart.unit, grid: true, ...(chart.log ? { type: "log" } : { zero: true }) },
      y: { label: null, domain: bars.map(({ label }) => label) },
      marks: [
        Plot.ruleY(bars, { y: "label", x1: "low", x2: "high", stroke: color, strokeWidth: 5, strokeOpacity: 0.35 }),
        Plot.dot(bars, { y: "label", x: "median", fill: color, r: 5 }),
        Plot.text(bars, { y: "label", x: "high", text: ({ median }) => round(median), dx: 8, textAnchor: "start" }),
      ],
    });
    plot.setAttribute("y", String(top + 20));
    // Plot's own style is for a page: `height: auto` would stretch a drawing that lies inside another.
    panels.push(
      `<text x="10" y="${top + 14}" font-weight="bold">${as_text(chart.title)}</text>`,
      plot.outerHTML.replace(/<style>.*?<\/style>/s, ""),
    );
    top += height + 30;
  }
  const note = `${date.slice(0, 10)}, ${machine.cores} cores, Node ${machine.node}; dots are medians, bars min–max; npm run bench -- ${name}`;
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${top + 10}" viewBox="0 0 ${WIDTH} ${top + 10}" font-family="sans-serif" font-size="12">
<rect width="100%" height="100%" fill="white"/>
<text x="10" y="20" font-size="15" font-weight="bold">${as_text(result.title)}</text>
<text x="10" y="37" fill="#555">${as_text(note)}</text>
${panels.join("\n")}
</svg>
`;
}

/** Of rows: those that have samples. */
export const bars = (rows) => rows.map(({ name, median, low, high }) => ({ label: name, median, low, high }));

const round = (value) => (value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2));
const as_text = (text) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
