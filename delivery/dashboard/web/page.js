"use strict";

// Draws what /data.json says, again every few seconds. All the arithmetic is the server's.

const HEIGHT = 190;
const COLORS = [
  "#1f6feb", "#d97706", "#1a7f37", "#8250df", "#bf3989", "#0e7490", "#9a6700", "#57606a", "#0550ae", "#bc4c00",
];
const THRESHOLD = "#b42318";

const POWERS = Array.from({ length: 50 }, (_, power) => 2 ** power);

const charts = new Map();

function scaled(value, factor, names) {
  let unit = 0;
  while (Math.abs(value) >= factor && unit < names.length - 1) {
    value /= factor;
    unit += 1;
  }
  return `${Number(value.toPrecision(3))} ${names[unit]}`;
}

const FORMATS = {
  bytes: (value) => scaled(value, 1024, ["B", "KiB", "MiB", "GiB", "TiB"]),
  seconds: (value) => (value < 1 ? `${Number((value * 1000).toPrecision(3))} ms` : `${Number(value.toPrecision(3))} s`),
  percent: (value) => `${Number(value.toPrecision(3))} %`,
  "per second": (value) => `${Number(value.toPrecision(3))}/s`,
  "per minute": (value) => `${Number(value.toPrecision(3))}/min`,
};

function format(unit, value) {
  if (value == null) return "-";
  return (FORMATS[unit] ?? ((number) => String(Number(number.toPrecision(3)))))(value);
}

function clock(seconds) {
  return new Date(seconds * 1000).toLocaleTimeString("en-GB");
}

function element(tag, text, parent) {
  const made = document.createElement(tag);
  made.textContent = text;
  parent.append(made);
  return made;
}

function place(panel) {
  const section = element("section", "", document.getElementById("panels"));
  section.id = `panel-${panel.name}`;
  element("h2", panel.title, section);
  const note = element("p", "", section);
  return { section, note, plot: null, lines: "" };
}

function width(section) {
  const style = getComputedStyle(section);
  return section.clientWidth - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight);
}

function make(panel, chart, names) {
  // Of the point under the mouse; of the latest while it is elsewhere.
  const value = (plot, number, index, at) =>
    format(panel.unit, at === null ? plot.data[index].findLast((each) => each !== null) : number);
  const line = (name, index) => ({
    label: name, stroke: COLORS[index % COLORS.length], width: 1.5, points: { size: 4 }, value,
  });
  const time = (plot, seconds, _index, at) => clock(at === null ? plot.data[0].at(-1) : seconds);
  const series = [{ label: "time", value: time }, ...names.map(line)];
  if (panel.above !== null) {
    series.push({ label: "alert above", stroke: THRESHOLD, width: 1, dash: [6, 4], points: { show: false }, value });
  }
  const range = (_plot, _least, most) => [0, most > 0 ? most * 1.1 : 1];
  return {
    width: width(chart.section),
    height: HEIGHT,
    series,
    scales: { y: { range } },
    axes: [
      { space: 80, values: (_plot, ticks) => ticks.map(clock) },
      {
        size: 76,
        values: (_plot, ticks) => ticks.map((tick) => format(panel.unit, tick)),
        ...(panel.unit === "bytes" ? { incrs: POWERS } : {}),
      },
    ],
  };
}

function draw(panel, times) {
  if (!charts.has(panel.name)) charts.set(panel.name, place(panel));
  const chart = charts.get(panel.name);
  const names = Object.keys(panel.lines);
  const data = [times, ...Object.values(panel.lines)];
  if (panel.above !== null) data.push(times.map(() => panel.above));
  chart.section.dataset.lines = names.length;
  const alert = panel.above === null ? "" : `; alert above ${format(panel.unit, panel.above)}`;
  chart.note.textContent = names.length ? `${panel.unit}${alert}` : `${panel.unit}${alert}; nothing yet`;
  const lines = JSON.stringify(names);
  if (chart.plot === null || chart.lines !== lines) {
    chart.plot?.destroy();
    chart.plot = new uPlot(make(panel, chart, names), data, chart.section);
    chart.lines = lines;
  } else {
    chart.plot.setData(data);
  }
}

async function refresh() {
  const state = document.getElementById("state");
  let wait = 5;
  try {
    const answer = await fetch("/data.json");
    const found = await answer.json();
    wait = found.every;
    for (const panel of found.panels) draw(panel, found.times);
    const seen = found.replicas.length ? found.replicas.join(", ") : "no process shows metrics; is the stack down?";
    state.textContent = `${clock(found.at)}: ${seen}`;
    state.classList.toggle("bad", found.replicas.length === 0);
  } catch (error) {
    state.textContent = `The dashboard does not answer (${error.message}). Is \`make dashboard\` still running?`;
    state.classList.add("bad");
  }
  setTimeout(refresh, wait * 1000);
}

addEventListener("resize", () => {
  for (const { section, plot } of charts.values()) plot?.setSize({ width: width(section), height: HEIGHT });
});

refresh();
