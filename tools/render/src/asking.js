// A panel's queries → Prometheus' answers, with what Grafana puts for its variables.

import { dateTime, rangeUtil } from "@grafana/data";

const SECONDS = { s: 1, m: 60, h: 3600, d: 86400, w: 604800 };

/** Unix seconds of `now-24h`, `now/M` and the like. */
export function momentOf(text, nowS) {
  const found = /^now(?:-(\d+)([smhdw]))?(?:\/([dwM]))?$/.exec(text);
  if (!found) throw new Error(`${text}: not a time that is understood here`);
  const [, count, unit, turn] = found;
  const at = new Date((nowS - (count ? Number(count) * SECONDS[unit] : 0)) * 1000);
  if (!turn) return at.getTime() / 1000;
  const day = turn === "M" ? 1 : turn === "w" ? at.getUTCDate() - ((at.getUTCDay() + 6) % 7) : at.getUTCDate();
  return Date.UTC(at.getUTCFullYear(), at.getUTCMonth(), day) / 1000;
}

export const secondsOf = (text) => Number(text.slice(0, -1)) * SECONDS[text.slice(-1)];

/** What stands for `$__interval` and `$__rate_interval`, as Grafana's Prometheus source reckons them. */
export function intervals(range, points, minimumS, scrapeS) {
  const timed = { from: dateTime(range.fromS * 1000), to: dateTime(range.toS * 1000) };
  const least = `${minimumS || scrapeS}s`;
  const stepS = rangeUtil.calculateInterval(timed, Math.max(100, Math.round(points)), least).intervalMs / 1000;
  return { stepS, rateS: Math.max(stepS + scrapeS, 4 * scrapeS) };
}

/** The query with values for variables. */
export function filled(expr, variables, range, { stepS, rateS }) {
  const values = {
    ...variables,
    __range: `${Math.round(range.toS - range.fromS)}s`,
    __interval: `${stepS}s`,
    __rate_interval: `${rateS}s`,
  };
  const done = expr.replace(/\$(?:\{(\w+)\}|(\w+))/g, (whole, braced, bare) => values[braced ?? bare] ?? whole);
  if (/\$\w/.test(done.replace(/"(?:[^"\\]|\\.)*"/g, ""))) throw new Error(`no value for a variable in ${done}`);
  return done;
}

export async function asked(path, parameters) {
  const answer = await fetch(`/prom/api/v1/${path}`, { method: "POST", body: new URLSearchParams(parameters) });
  const told = await answer.json();
  if (told.status !== "success") throw new Error(told.error);
  return told.data;
}

/** The value of each variable: everything, or the first that is offered. */
export async function variablesOf(board, range) {
  const values = {};
  const texts = {};
  const shown = [];
  for (const variable of board.templating.list) {
    if (variable.type === "datasource") {
      shown.push([variable.label, variable.query === "prometheus" ? "Prometheus" : "Tempo"]);
    } else if (variable.type === "custom") {
      values[variable.name] = variable.current.value;
      shown.push([variable.label, variable.current.text]);
    } else if (variable.type === "query") {
      const [, series, label] = /^label_values\((.*), (\w+)\)$/s.exec(variable.query.query);
      const match = filled(series, values, range, { stepS: 60, rateS: 240 });
      const offered = await labelValues(label, match, range);
      if (!offered.length) throw new Error(`variable ${variable.name}: nothing to choose from by ${variable.query.query}`);
      values[variable.name] = variable.includeAll ? variable.allValue : offered[0];
      texts[variable.name] = variable.includeAll ? "All" : offered[0];
      shown.push([variable.label, texts[variable.name]]);
    }
  }
  return { values, texts, shown };
}

async function labelValues(label, match, range) {
  const query = new URLSearchParams({ "match[]": match, start: range.fromS, end: range.toS });
  const told = await (await fetch(`/prom/api/v1/label/${label}/values?${query}`)).json();
  if (told.status !== "success") throw new Error(told.error);
  return told.data;
}

/** A legend with values, or with what people read: `${model:text}`. */
const worded = (legend, variables, texts) =>
  legend?.replace(/\$\{(\w+):text\}/g, (_, name) => texts[name]).replace(/\$(\w+)/g, (whole, name) => variables[name] ?? whole);

/** The answers to a panel's queries. */
export async function answersOf(panel, { variables, texts, range, width, scrapeS }) {
  return Promise.all(
    panel.targets.map(async (target) => {
      const steps = intervals(range, panel.maxDataPoints ?? width, target.interval ? secondsOf(target.interval) : 0, scrapeS);
      const query = filled(target.expr, variables, range, steps);
      const named = { ...target, legendFormat: worded(target.legendFormat, variables, texts) };
      if (target.instant) {
        const told = await asked("query", { query, time: range.toS });
        const rows = told.resultType === "scalar" ? [{ metric: {}, value: told.result }] : told.result;
        return { target: named, rows: rows.map((row) => ({ metric: row.metric, values: [row.value] })) };
      }
      const { stepS } = steps;
      // Whole steps, as Grafana asks.
      const start = Math.floor(range.fromS / stepS) * stepS;
      const end = Math.floor(range.toS / stepS) * stepS;
      const told = await asked("query_range", { query, start, end, step: stepS });
      return { target: named, stepS, rows: told.result };
    }),
  );
}
