// Two plugins of Chart.js: generations as marks, and one pointer over all charts of time.

const LABEL_GAP_PX = 4;
const followers = new Set();
let pointedAt = null; // ms since 1970, while the pointer is over one of them

function vertical(ctx, x, { top, bottom }, colour, dash) {
  ctx.save();
  ctx.strokeStyle = colour;
  ctx.lineWidth = 1;
  ctx.setLineDash(dash);
  ctx.beginPath();
  ctx.moveTo(Math.round(x) + 0.5, top);
  ctx.lineTo(Math.round(x) + 0.5, bottom);
  ctx.stroke();
  ctx.restore();
}

/** Draws the label unless it would touch the one before it; returns where its right end is. */
function markLabel(ctx, text, x, y, taken, colour) {
  ctx.save();
  ctx.fillStyle = colour;
  ctx.textAlign = "center";
  ctx.textBaseline = "bottom";
  const half = ctx.measureText(text).width / 2;
  const free = x - half > taken + LABEL_GAP_PX;
  if (free) ctx.fillText(text, x, y);
  ctx.restore();
  return free ? x + half : taken;
}

export const marks = {
  id: "marks",
  beforeDatasetsDraw(chart, _, { colour }) {
    const { ctx, chartArea, scales, generations = [] } = chart;
    ctx.font = `10px ${chart.options.font.family}`;
    let taken = -Infinity;
    let labelled = null; // arms that are trained otherwise have the same numbers, a little later
    for (const { number, t } of generations) {
      if (!(t >= scales.x.min && t <= scales.x.max)) continue;
      const x = scales.x.getPixelForValue(t);
      vertical(ctx, x, chartArea, colour, [3, 3]);
      if (number !== labelled) taken = markLabel(ctx, `g${number}`, x, chartArea.top - 2, taken, colour);
      labelled = number;
    }
  },
};

export const crosshair = {
  id: "crosshair",
  afterDatasetsDraw(chart, _, { colour }) {
    const { ctx, chartArea, scales } = chart;
    if (pointedAt === null || pointedAt < scales.x.min || pointedAt > scales.x.max) return;
    vertical(ctx, scales.x.getPixelForValue(pointedAt), chartArea, colour, []);
  },
};

let asked = false;

function drawAll() {
  asked = false;
  for (const chart of followers) chart.draw();
}

function point(t) {
  if (t === pointedAt) return;
  pointedAt = t;
  if (!asked) requestAnimationFrame(drawAll);
  asked = true;
}

/** The chart shows the pointer of all, and moves it. */
export function followPointer(chart) {
  followers.add(chart);
  chart.canvas.addEventListener("pointermove", (event) => {
    const { left, right } = chart.chartArea;
    point(event.offsetX >= left && event.offsetX <= right ? chart.scales.x.getValueForPixel(event.offsetX) : null);
  });
  chart.canvas.addEventListener("pointerleave", () => point(null));
}
