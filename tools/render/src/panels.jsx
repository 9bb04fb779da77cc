// Frames → what Grafana's own components draw of them.

import { dateTime, getFieldDisplayValues } from "@grafana/data";
import { BarGauge, BigValue, BigValueGraphMode, TimeSeries, VizRepeater } from "@grafana/ui";
import { TableNG } from "@grafana/ui/unstable";

import { Heat } from "./heat.jsx";

const values = (panel, frames, theme) =>
  getFieldDisplayValues({
    fieldConfig: { defaults: {}, overrides: [] },
    reduceOptions: { values: false, ...panel.options.reduceOptions },
    replaceVariables: (text) => text,
    sparkline: panel.options.graphMode === "area",
    theme,
    data: frames,
    timeZone: "utc",
  });

function Stats({ panel, frames, width, height, theme }) {
  return (
    <VizRepeater
      getValues={() => values(panel, frames, theme)}
      renderValue={({ value, width: w, height: h, count }) => (
        <BigValue
          value={value.display}
          count={count}
          sparkline={value.sparkline}
          colorMode={panel.options.colorMode}
          graphMode={panel.options.graphMode ?? BigValueGraphMode.None}
          justifyMode={panel.options.justifyMode}
          textMode={panel.options.textMode}
          width={w}
          height={h}
          theme={theme}
        />
      )}
      width={width}
      height={height}
      source={frames}
      itemSpacing={3}
      renderCounter={1}
      autoGrid
      orientation={panel.options.orientation}
    />
  );
}

function Bars({ panel, frames, width, height, theme }) {
  const all = values(panel, frames, theme);
  const longest = all.reduce((text, { display }) => ({
    text: display.text.length > text.text.length ? display.text : text.text,
    title: (display.title ?? "").length > text.title.length ? display.title : text.title,
    suffix: display.suffix,
  }), { text: "", title: "" });
  return (
    <VizRepeater
      getValues={() => all}
      renderValue={({ value, width: w, height: h }) => (
        <BarGauge
          value={value.display}
          field={value.field}
          display={value.view?.getFieldDisplayProcessor(value.colIndex)}
          alignmentFactors={longest}
          width={w}
          height={h}
          orientation={panel.options.orientation}
          displayMode={panel.options.displayMode}
          valueDisplayMode={panel.options.valueMode}
          namePlacement={panel.options.namePlacement}
          theme={theme}
        />
      )}
      width={width}
      height={height}
      minVizHeight={panel.options.minVizHeight ?? 16}
      maxVizHeight={panel.options.maxVizHeight ?? 300}
      source={frames}
      renderCounter={1}
      orientation={panel.options.orientation}
    />
  );
}

export function Body({ panel, frames, width, height, range, theme }) {
  switch (panel.type) {
    case "stat":
      return <Stats {...{ panel, frames, width, height, theme }} />;
    case "bargauge":
      return <Bars {...{ panel, frames, width, height, theme }} />;
    case "heatmap":
      return <Heat {...{ frames, width, height, range, theme }} />;
    case "table":
      return <TableNG data={frames[0]} width={width} height={height} cellHeight={panel.options.cellHeight} />;
    case "timeseries": {
      const [from, to] = [dateTime(range.fromS * 1000), dateTime(range.toS * 1000)];
      return (
        <TimeSeries
          frames={frames}
          structureRev={1}
          width={width}
          height={height}
          timeRange={{ from, to, raw: { from, to } }}
          timeZone="utc"
          legend={panel.options.legend}
          options={panel.options}
        />
      );
    }
    default:
      throw new Error(`panel type ${panel.type}: not drawn here`);
  }
}
