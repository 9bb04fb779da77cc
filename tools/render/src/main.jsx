// One board, drawn: `?board=<uid>&now=<Unix time>&interval=<seconds between samples>&span=<the most of them>&theme=light`.
// `window.drawn` tells when it is done, and what is wrong with which panel.

import { createTheme, standardFieldConfigEditorRegistry, standardTransformers, ThemeContext } from "@grafana/data";
import * as grafana from "@grafana/ui";
import { Component, useEffect, useState } from "react";
import { createRoot } from "react-dom/client";
// Grafana's font: its components measure their texts in it.
import "@fontsource/inter/latin-400.css";
import "@fontsource/inter/latin-500.css";

import { answersOf, momentOf, variablesOf } from "./asking.js";
import { framesOf, ready } from "./frames.js";
import { Body } from "./panels.jsx";

const WIDTH = 1360;
const ROW = 38;
const UNIT = WIDTH / 24;

const chosen = Object.fromEntries(new URLSearchParams(location.search));
const theme = createTheme({ colors: { mode: chosen.theme ?? "dark" } });
const problems = [];

standardFieldConfigEditorRegistry.setInit(() => grafana.getAllStandardFieldConfigs?.() ?? grafana.getStandardFieldConfigs?.() ?? []);
ready(standardTransformers);

/** Panels with rows opened, each at its place. */
function placed(board) {
  const found = [];
  let moved = 0;
  for (const panel of board.panels) {
    const at = { ...panel.gridPos, y: panel.gridPos.y + moved };
    found.push({ panel, at });
    if (panel.type !== "row" || !panel.panels.length) continue;
    const top = Math.min(...panel.panels.map(({ gridPos }) => gridPos.y));
    panel.panels.forEach((inside) => found.push({ panel: inside, at: { ...inside.gridPos, y: inside.gridPos.y - top + at.y + 1 } }));
    moved += Math.max(...panel.panels.map(({ gridPos }) => gridPos.y + gridPos.h)) - top;
  }
  return found;
}

class Caught extends Component {
  state = { error: null };
  static getDerivedStateFromError(error) {
    return { error };
  }
  componentDidCatch(error) {
    problems.push({ panel: this.props.title, error: String(error.stack ?? error) });
  }
  render() {
    return this.state.error ? <pre style={{ color: "red" }}>{String(this.state.error)}</pre> : this.props.children;
  }
}

function Panel({ shown: { panel, at, frames, error } }) {
  const [width, height] = [at.w * UNIT - 8, at.h * ROW - 8];
  return (
    <div style={{ position: "absolute", left: at.x * UNIT + 4, top: at.y * ROW + 4 }}>
      <grafana.PanelChrome title={panel.title} description={panel.description} width={width} height={height}>
        {(innerWidth, innerHeight) => (
          <Caught title={panel.title}>
            {error ? (
              <pre style={{ color: "red", whiteSpace: "pre-wrap" }}>{error}</pre>
            ) : frames.length ? (
              <Body panel={panel} frames={frames} width={innerWidth} height={innerHeight} range={board.range} theme={theme} />
            ) : (
              <div style={{ height: innerHeight, display: "grid", placeItems: "center", color: theme.colors.text.secondary }}>
                {panel.fieldConfig.defaults.noValue}
              </div>
            )}
          </Caught>
        )}
      </grafana.PanelChrome>
    </div>
  );
}

function Board() {
  useEffect(() => {
    // Once more after the last frame was drawn: graphs measure themselves first.
    requestAnimationFrame(() => setTimeout(() => { window.drawn = { problems, height: document.body.scrollHeight }; }, 400));
  }, []);
  const tall = Math.max(...board.panels.map(({ at }) => at.y + at.h)) * ROW;
  const frame = { fontFamily: theme.typography.fontFamily, fontSize: 14, color: theme.colors.text.primary, background: theme.colors.background.canvas };
  return (
    <ThemeContext.Provider value={theme}>
      <grafana.GlobalStyles />
      <grafana.PortalContainer />
      <div style={{ ...frame, width: WIDTH, paddingBottom: 8 }}>
        <div style={{ padding: "10px 12px 2px", display: "flex", gap: 12, alignItems: "baseline" }}>
          <span style={{ fontSize: 18 }}>{board.title}</span>
          <span style={{ color: theme.colors.text.secondary }}>{board.description}</span>
          <span style={{ color: theme.colors.text.secondary, marginLeft: "auto" }}>{board.time}</span>
        </div>
        <div style={{ padding: "4px 12px 6px", display: "flex", gap: 16 }}>
          {board.variables.map(([label, value]) => (
            <span key={label}><span style={{ color: theme.colors.text.secondary }}>{label}</span> {value}</span>
          ))}
        </div>
        <div style={{ position: "relative", height: tall }}>
          {board.panels.map((shown, place) =>
            shown.panel.type === "row" ? (
              <div key={place} style={{ position: "absolute", left: 12, top: shown.at.y * ROW + 10, fontSize: 15 }}>
                {shown.panel.title.replace("$group", board.group)}
              </div>
            ) : (
              <Panel key={place} shown={shown} />
            ),
          )}
        </div>
      </div>
    </ThemeContext.Provider>
  );
}

let board;

async function main() {
  await Promise.all([400, 500].map((weight) => document.fonts.load(`${weight} 14px Inter`)));
  const file = await (await fetch(`/boards/${chosen.board}.json`)).json();
  const nowS = Number(chosen.now);
  const range = { fromS: momentOf(file.time.from, nowS), toS: nowS };
  const variables = await variablesOf(file, range);
  const panels = await Promise.all(
    placed(file).map(async ({ panel, at }) => {
      if (panel.type === "row") return { panel, at };
      try {
        const asking = { variables: variables.values, texts: variables.texts, range, width: at.w * UNIT, scrapeS: Number(chosen.interval ?? 60) };
        const answers = await answersOf(panel, asking);
        for (const { target, rows } of answers) {
          const numbers = rows.flatMap(({ values }) => values.map(([, value]) => Number(value)));
          if (!numbers.some(Number.isFinite)) problems.push({ panel: panel.title, empty: target.refId });
        }
        return { panel, at, frames: await framesOf(panel, answers, theme, Number(chosen.span ?? 0)) };
      } catch (error) {
        problems.push({ panel: panel.title, error: String(error.stack ?? error) });
        return { panel, at, frames: [], error: String(error) };
      }
    }),
  );
  const group = variables.shown.find(([label]) => label === "Group by")?.[1];
  board = { title: file.title, description: file.description, time: `${file.time.from} to now`, range, panels, variables: variables.shown, group };
  createRoot(document.getElementById("root")).render(<Board />);
}

main().catch((error) => { window.drawn = { problems: [{ panel: "(the board)", error: String(error.stack ?? error) }], height: 200 }; });
