//! The table of a run: each measure of the base model and after the last examination, their difference with its interval, and
//! what is published.
//!
//! It knows no plots. Invariant: a difference is of the same items before and after; what was not measured has no row.

use serde_json::{Value, json};

use super::run::{Run, bits, f1, items, numbers, share, top1};
use super::stats::{self, Estimate};

/// One measure.
pub struct Row {
    /// Its name.
    pub name: &'static str,
    /// Of the base model.
    pub before: f64,
    /// After the last examined cycle.
    pub after: f64,
    /// The difference.
    pub change: Estimate,
    /// Items.
    pub n: usize,
    /// The published claim.
    pub published: &'static str,
    /// Digits behind the point, and the unit's factor.
    shown: (usize, f64),
}

/// Shares are told in percent.
const PERCENT: (usize, f64) = (1, 100.0);

/// The measures of a run.
pub fn rows(run: &Run) -> Vec<Row> {
    let (first, last) = run.ends();
    let (before, after) = (&first["exam"], &last["exam"]);
    let mut rows = facts(before, after);
    let suites = [
        ("code: next line exact, %", "code_lines", "62 to 78"),
        ("core knowledge, %", "core", "68.5 to 67.8"),
        ("refusals, %", "refusals", ""),
    ];
    for (name, key, published) in suites {
        rows.extend(paired(name, &bits(&before[key]), &bits(&after[key]), published));
    }
    rows.extend(drawn(before, after));
    let (texts, texts_after) = (numbers(&before["language"]), numbers(&after["language"]));
    let mean = |losses: &[f64]| losses.iter().sum::<f64>() / losses.len() as f64;
    rows.push(Row {
        name: "neutral text, nats a token",
        before: mean(&texts),
        after: mean(&texts_after),
        change: stats::paired_means(&texts, &texts_after),
        n: texts.len(),
        published: "",
        shown: (3, 1.0),
    });
    let latency = numbers(&last["spent"]["latency_ms"]);
    if let [alone, beside, ratio] = latency[..] {
        let change = Estimate { value: beside - alone, lower: f64::NAN, upper: f64::NAN };
        let published = "45 to 48";
        let name = "latency, ms a token";
        let n = 1;
        rows.push(Row {
            name,
            before: alone,
            after: alone * ratio,
            change,
            n,
            published,
            shown: (1, 1.0),
        });
    }
    rows
}

/// The rows whose intervals come from a bootstrap: next tokens over files, style over notes.
fn drawn(before: &Value, after: &Value) -> Vec<Row> {
    let row = |name, key: &str, statistic: fn(&[Value], &[usize]) -> f64| {
        let (a, b) = (items(&before[key]), items(&after[key]));
        let n = (!a.is_empty() && a.len() == b.len()).then_some(a.len())?;
        let all: Vec<usize> = (0..n).collect();
        let change = stats::bootstrap(n, |at| statistic(b, at) - statistic(a, at));
        let (before, after) = (statistic(a, &all), statistic(b, &all));
        Some(Row { name, before, after, change, n, published: "", shown: PERCENT })
    };
    let code = row("code: next token, %", "code_tokens", top1);
    let style = row("style: marker F1", "style", f1);
    let style = style.map(|row| Row { published: "0.71 to 0.89", shown: (2, 1.0), ..row });
    code.into_iter().chain(style).collect()
}

/// The rows of the facts that the last examination asked: those that the gate promoted, and all.
fn facts(before: &Value, after: &Value) -> Vec<Row> {
    let mut rows = Vec::new();
    let first = items(&before["facts"]);
    let pairs: Vec<(&Value, &Value)> = items(&after["facts"])
        .iter()
        .filter_map(|fact| Some((first.iter().find(|other| other["id"] == fact["id"])?, fact)))
        .collect();
    let promoted: Vec<_> = pairs.iter().filter(|(_, fact)| fact["promoted"] == true).collect();
    let one = |key: &str, side: fn(&(&Value, &Value)) -> Value| -> Vec<bool> {
        promoted.iter().map(|pair| side(pair)[key] == true).collect()
    };
    let (a, b) = (one("exact", |p| p.0.clone()), one("exact", |p| p.1.clone()));
    rows.extend(paired("promoted facts, as taught, %", &a, &b, ""));
    let many = |side: fn(&(&Value, &Value)) -> Value| -> Vec<bool> {
        promoted.iter().flat_map(|pair| bits(&side(pair)["rephrased"])).collect()
    };
    let (a, b) = (many(|p| p.0.clone()), many(|p| p.1.clone()));
    rows.extend(paired("promoted facts, rephrased, %", &a, &b, ""));
    let near: Vec<_> = promoted.iter().filter(|(_, fact)| !fact["near"].is_null()).collect();
    let clear = |side: fn(&(&Value, &Value)) -> Value| -> Vec<bool> {
        near.iter().map(|pair| side(pair)["near"] == true).collect()
    };
    let (a, b) = (clear(|p| p.0.clone()), clear(|p| p.1.clone()));
    rows.extend(paired("near misses kept clear of, %", &a, &b, ""));
    let all: Vec<bool> = pairs.iter().map(|(_, fact)| fact["exact"] == true).collect();
    let all_before: Vec<bool> = pairs.iter().map(|(fact, _)| fact["exact"] == true).collect();
    rows.extend(paired("all facts taught, as taught, %", &all_before, &all, ""));
    rows
}

fn paired(
    name: &'static str,
    before: &[bool],
    after: &[bool],
    published: &'static str,
) -> Option<Row> {
    if before.is_empty() || before.len() != after.len() {
        return None;
    }
    let change = stats::paired_shares(before, after);
    let (before, after, n) = (share(before), share(after), before.len());
    Some(Row { name, before, after, change, n, published, shown: PERCENT })
}

/// The table as text.
pub fn text(run: &Run, rows: &[Row]) -> String {
    let (_, last) = run.ends();
    let mut text = format!(
        "{}: {} cycles examined\n{:32} {:>8} {:>8} {:>22} {:>6}  published\n",
        run.arm, last["cycle"], "", "before", "after", "change [95 %]", "n"
    );
    for row in rows {
        let (digits, factor) = row.shown;
        let show = |value: f64| format!("{:.digits$}", value * factor);
        let Estimate { value, lower, upper } = row.change;
        let change = match lower.is_nan() {
            true => show(value),
            false => format!("{} [{}, {}]", show(value), show(lower), show(upper)),
        };
        text.push_str(&format!(
            "{:32} {:>8} {:>8} {change:>22} {:>6}  {}\n",
            row.name,
            show(row.before),
            show(row.after),
            row.n,
            row.published
        ));
    }
    text
}

/// The rows as JSON.
pub fn json(rows: &[Row]) -> Value {
    let row = |row: &Row| {
        let Estimate { value, lower, upper } = row.change;
        json!({
            "name": row.name, "before": row.before, "after": row.after, "n": row.n,
            "change": value, "lower": lower, "upper": upper, "published": row.published,
        })
    };
    rows.iter().map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run() -> Run {
        let exam = |exact: bool, core: [bool; 4], found: usize| {
            json!({
                "facts": [
                    { "id": "a", "promoted": exact, "exact": exact, "rephrased": [exact, false], "near": true },
                    { "id": "b", "promoted": false, "exact": false, "rephrased": [], "near": null },
                ],
                "core": core, "refusals": [true], "language": [3.0, 4.0], "code_lines": [],
                "code_tokens": [[6, 10], [2, 10]],
                "style": [{ "found": found, "missing": 4 - found, "foreign": 0 }],
            })
        };
        let first = json!({ "cycle": 0, "exam": exam(false, [true; 4], 1), "spent": {} });
        let spent = json!({ "latency_ms": [10.0, 11.0, 1.1] });
        let core = [true, true, false, true];
        let last = json!({ "cycle": 5, "exam": exam(true, core, 4), "spent": spent });
        let middle = json!({ "cycle": 4, "exam": null });
        Run { arm: "ours".into(), header: json!({}), lines: vec![first, middle, last] }
    }

    #[test]
    fn rows_compare_the_same_items() {
        let rows = rows(&run());
        let find = |name: &str| rows.iter().find(|row| row.name.starts_with(name)).unwrap();
        let promoted = find("promoted facts, as taught");
        assert_eq!((promoted.before, promoted.after, promoted.n), (0.0, 1.0, 1));
        assert_eq!(find("promoted facts, rephrased").after, 0.5);
        assert_eq!((find("all facts").after, find("all facts").n), (0.5, 2));
        assert_eq!((find("core").before, find("core").after), (1.0, 0.75));
        assert_eq!((find("code: next token").after, find("style").after), (0.4, 1.0));
        assert!((find("style").before - 0.4).abs() < 1e-9, "2 of 2 + 3");
        assert!((find("latency").after - 11.0).abs() < 1e-9);
        assert!(rows.iter().all(|row| row.name != "code: next line exact, %"), "none was asked");
    }

    #[test]
    fn the_text_has_a_line_a_row() {
        let run = run();
        let rows = rows(&run);
        let text = text(&run, &rows);
        assert_eq!(text.lines().count(), rows.len() + 2);
        assert!(text.contains("core knowledge, %                   100.0     75.0"), "{text}");
    }
}
