// Prometheus' answers → Grafana's data frames with the panel's settings in every field.

import {
  FieldType,
  getDisplayProcessor,
  getFieldDisplayName,
  standardTransformersRegistry,
  toDataFrame,
  transformDataFrame,
} from "@grafana/data";
import { firstValueFrom } from "rxjs";

const CUSTOM = {
  timeseries: {
    drawStyle: "line",
    lineWidth: 1,
    fillOpacity: 0,
    gradientMode: "none",
    showPoints: "auto",
    pointSize: 5,
    lineInterpolation: "linear",
    spanNulls: false,
    axisPlacement: "auto",
    barAlignment: 0,
    barWidthFactor: 0.6,
    scaleDistribution: { type: "linear" },
    stacking: { mode: "none", group: "A" },
    thresholdsStyle: { mode: "off" },
    hideFrom: { legend: false, tooltip: false, viz: false },
  },
  table: { align: "auto", cellOptions: { type: "auto" } },
};

const legend = (format, metric) =>
  format ? format.replace(/{{\s*(\w+)\s*}}/g, (_, name) => metric[name] ?? "") : undefined;

function table(target, rows) {
  const names = [...new Set(rows.flatMap((row) => Object.keys(row.metric)))].filter((name) => name !== "__name__");
  const strings = names.map((name) => ({
    name,
    type: FieldType.string,
    values: rows.map((row) => row.metric[name] ?? ""),
  }));
  return toDataFrame({
    refId: target.refId,
    fields: [
      { name: "Time", type: FieldType.time, values: rows.map((row) => row.values[0][0] * 1000) },
      ...strings,
      { name: `Value #${target.refId}`, type: FieldType.number, values: rows.map((row) => Number(row.values[0][1])) },
    ],
  });
}

// Where a step has no sample Grafana draws a gap.
function withGaps(values, stepS) {
  return values.flatMap(([at, value], place) => {
    const missing = stepS && place ? Math.round((at - values[place - 1][0]) / stepS) - 1 : 0;
    const empty = Array.from({ length: Math.max(0, missing) }, (_, before) => [at - (missing - before) * stepS, null]);
    return [...empty, [at, Number(value)]];
  });
}

function series(target, row, stepS) {
  const values = withGaps(row.values, stepS);
  return toDataFrame({
    refId: target.refId,
    fields: [
      { name: "Time", type: FieldType.time, values: values.map(([at]) => at * 1000) },
      {
        name: "Value",
        type: FieldType.number,
        labels: row.metric,
        config: { displayNameFromDS: legend(target.legendFormat, row.metric) },
        values: values.map(([, value]) => value),
      },
    ],
  });
}

export async function framesOf(panel, answers, theme, spanS) {
  let frames = answers.flatMap(({ target, rows, stepS }) =>
    target.format === "table" ? (rows.length ? [table(target, rows)] : []) : rows.map((row) => series(target, row, stepS)),
  );
  if (panel.type === "table" && answers.length === 1) {
    frames.forEach((frame) => frame.fields.forEach((field) => { if (field.name === "Value #A") field.name = "Value"; }));
  }
  if (panel.transformations?.length) {
    const context = { interpolate: (text) => text };
    frames = await firstValueFrom(transformDataFrame(panel.transformations, frames, context));
  }
  // Bars beside one another have one scale.
  const numbers = frames.flatMap(({ fields }) => fields.filter(({ type }) => type === FieldType.number).flatMap(({ values }) => [...values]));
  const most = panel.type === "bargauge" ? Math.max(...numbers.filter(Number.isFinite)) : undefined;
  let place = 0;
  frames.forEach((frame, frameIndex) => {
    frame.fields.forEach((field) => dress(panel, field, getFieldDisplayName(field, frame, frames), theme, field.type === FieldType.number ? place++ : 0, most, spanS));
    frame.fields.forEach((field, fieldIndex) => {
      const displayName = getFieldDisplayName(field, frame, frames);
      field.state = { ...field.state, displayName, origin: { frameIndex, fieldIndex } };
    });
  });
  return frames;
}

const MATCHERS = {
  byName: (wanted) => (name) => name === wanted,
  byRegexp: (pattern) => (name) => new RegExp(pattern.slice(1, -1)).test(name),
};

function dress(panel, field, name, theme, seriesIndex, most, spanS) {
  const defaults = structuredClone(panel.fieldConfig?.defaults ?? {});
  const config = { ...defaults, ...field.config };
  config.custom = { ...CUSTOM[panel.type], ...defaults.custom };
  config.color ??= { mode: panel.type === "timeseries" ? "palette-classic" : "thresholds" };
  for (const override of panel.fieldConfig?.overrides ?? []) {
    const { id, options } = override.matcher;
    if (!MATCHERS[id]) throw new Error(`matcher ${id}: not understood here`);
    if (!MATCHERS[id](options)(name)) continue;
    for (const { id, value } of override.properties) {
      if (id.startsWith("custom.")) config.custom[id.slice("custom.".length)] = value;
      else config[id] = structuredClone(value);
    }
  }
  // Without thresholds in the file Grafana puts one, green.
  config.thresholds ??= { mode: "absolute", steps: [{ value: null, color: panel.type === "table" ? "text" : "green" }] };
  config.thresholds.steps.forEach((step, at) => { if (at === 0) step.value = -Infinity; });
  if (field.type !== FieldType.number) {
    delete config.unit;
    delete config.min;
  } else if (config.custom.cellOptions?.type === "gauge" && config.max === undefined) {
    config.max = Math.max(...[...field.values].filter(Number.isFinite));
  }
  delete config.links;
  config.max ??= most;
  if (config.custom.spanNulls) config.custom.spanNulls = Math.max(config.custom.spanNulls, spanS * 1000 + 1);
  field.config = config;
  field.state = { scopedVars: {}, seriesIndex, displayName: name };
  field.display = getDisplayProcessor({ field, theme, timeZone: "utc" });
}

export function ready(transformers) {
  const known = Object.values(transformers).map((each) => [
    each.id,
    { id: each.id, name: each.name, transformation: async () => each, editor: null },
  ]);
  standardTransformersRegistry.setInit(() => [...new Map(known).values()]);
}
