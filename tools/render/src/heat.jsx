// A heat map: Grafana's own lives in the server's code and not in its packages, so this one is drawn here.

import { useEffect, useRef } from "react";

export function Heat({ frames, width, height, range, theme }) {
  const canvas = useRef(null);
  useEffect(() => draw(canvas.current, frames, width, height, range, theme));
  return <canvas ref={canvas} width={width} height={height} />;
}

function draw(canvas, frames, width, height, range, theme) {
  const bounds = frames
    .map((frame) => ({ le: Number(frame.fields[1].labels.le.replace("+Inf", "Infinity")), field: frame.fields[1], time: frame.fields[0] }))
    .sort((one, other) => one.le - other.le);
  const times = [...new Set(bounds.flatMap(({ time }) => [...time.values]))].sort((one, other) => one - other);
  const context = canvas.getContext("2d");
  context.clearRect(0, 0, width, height);
  const [left, bottom, above] = [64, 20, 10];
  // Buckets count all below them: a row is what is above the bucket before.
  const at = bounds.map(({ field, time }) => new Map([...time.values].map((when, place) => [when, field.values[place]])));
  const cells = bounds.map((_, row) => times.map((when) => Math.max(0, (at[row].get(when) ?? 0) - (row ? (at[row - 1].get(when) ?? 0) : 0))));
  const rows = bounds.map((_, row) => row).filter((row) => cells[row].some((count) => count > 1e-9));
  const [first, last] = [rows[0] ?? 0, rows.at(-1) ?? 0];
  const most = Math.max(...cells.flat());
  const tall = (height - bottom - above) / (last - first + 1);
  const step = times.length > 1 ? times[1] - times[0] : 1;
  const scale = (width - left) / ((range.toS - range.fromS) * 1000 + step);
  context.font = "11px Inter, Helvetica, Arial, sans-serif";
  for (let row = first; row <= last; row++) {
    const top = above + (last - row) * tall;
    times.forEach((when, column) => {
      const count = cells[row][column];
      if (count <= 1e-9) return;
      context.fillStyle = `hsl(212 70% ${theme.isDark ? 18 + 60 * (count / most) ** 0.5 : 92 - 60 * (count / most) ** 0.5}%)`;
      context.fillRect(left + (when - range.fromS * 1000) * scale, top + 0.5, Math.max(1, step * scale - 1), tall - 1);
    });
    context.fillStyle = theme.colors.text.secondary;
    context.textAlign = "right";
    context.textBaseline = "middle";
    const shown = bounds[row].field.display(bounds[row].le);
    context.fillText(bounds[row].le === Infinity ? "+Inf" : `${shown.text}${shown.suffix ?? ""}`, left - 6, top);
  }
  context.textBaseline = "bottom";
  context.textAlign = "center";
  const hours = (range.toS - range.fromS) / 3600;
  const apart = hours > 96 ? 86400 : hours > 12 ? 4 * 3600 : 3600;
  for (let when = Math.ceil(range.fromS / apart) * apart; when < range.toS; when += apart) {
    const text = new Date(when * 1000).toISOString();
    context.fillText(apart === 86400 ? text.slice(5, 10) : text.slice(11, 16), left + (when - range.fromS) * 1000 * scale, height - 2);
  }
}
