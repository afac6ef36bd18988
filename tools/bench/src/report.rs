//! The raw rows, and what they say: the least, the middle and the greatest of all rounds.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use serde_json::{Map, Value};

use crate::Result;

/// Everything that was measured.
pub(crate) struct Report {
    rows: Vec<(&'static str, Vec<(&'static str, f64)>)>,
    raw: Option<File>,
}

/// What is compared within each round: a name, and two measurements with the figure of each.
const RATIOS: [(&str, Figure, Figure); 7] = [
    ("PUT on 64 / PUT on 1", ("put_64", "per_second"), ("put_1", "per_second")),
    ("PUT on 1 / fdatasync", ("put_1", "per_second"), ("fdatasync", "per_second")),
    ("PUT on 64 / fdatasync", ("put_64", "per_second"), ("fdatasync", "per_second")),
    ("GET /hello / hyper", ("get_64", "per_second"), ("hyper_64", "per_second")),
    ("GET / / hyper", ("root_64", "per_second"), ("hyper_64", "per_second")),
    ("GET /hello / hyper, CPU", ("get_64", "cpu_us"), ("hyper_64", "cpu_us")),
    ("GET / / hyper, CPU", ("root_64", "cpu_us"), ("hyper_64", "cpu_us")),
];

/// What must not be exceeded.
const GOALS: [(&str, Figure, f64); 6] = [
    ("start to first answer, empty, ms", ("start_empty", "milliseconds"), 50.0),
    ("start to first answer, filled, ms", ("start_filled", "milliseconds"), 50.0),
    ("resident at rest, MiB", ("memory", "idle"), 20.0),
    ("resident, 10,000 that asked once, MiB", ("memory", "asked_10k"), 120.0),
    ("resident, 10,000 that are silent, MiB", ("memory", "silent_10k"), 120.0),
    ("binary, MiB", ("binary", "megabytes"), 12.0),
];

/// The name of a measurement, and of one of its figures.
type Figure = (&'static str, &'static str);

impl Report {
    pub(crate) fn new(raw: Option<&Path>) -> Result<Self> {
        Ok(Self { rows: Vec::new(), raw: raw.map(File::create).transpose()? })
    }

    pub(crate) fn row(&mut self, name: &'static str, figures: &[(&'static str, f64)]) -> Result<()> {
        if let Some(raw) = &mut self.raw {
            let mut object = Map::new();
            object.insert("measured".into(), name.into());
            for (figure, value) in figures {
                object.insert((*figure).into(), ((value * 1000.0).round() / 1000.0).into());
            }
            writeln!(raw, "{}", Value::Object(object))?;
        }
        self.rows.push((name, figures.to_vec()));
        Ok(())
    }

    pub(crate) fn print(&self) {
        println!("{:<12} {:>24} {:>22} {:>8} {:>8}", "", "requests/s", "CPU us/request", "p50 ms", "p99 ms");
        for name in ["fdatasync", "put_1", "put_64", "get_64", "root_64", "hyper_64"] {
            let of = |figure| self.of((name, figure));
            let (rates, processor) = (of("per_second").whole(), of("cpu_us").text());
            let (p50, p99) = (of("p50_ms").middle(), of("p99_ms").middle());
            println!("{name:<12} {rates:>24} {processor:>22} {p50:>8.3} {p99:>8.3}");
        }
        println!();
        for (what, above, below) in RATIOS {
            let both = self.of(above).0.into_iter().zip(self.of(below).0);
            println!("{what:<40} {}", Values(both.map(|(above, below)| above / below).collect()).text());
        }
        println!();
        for (what, figure, goal) in GOALS {
            let values = self.of(figure);
            let verdict = if values.middle() <= goal { "" } else { "  MISSED" };
            println!("{what:<40} {}  (at most {goal}){verdict}", values.text());
        }
        for (what, figure) in [
            ("its share of memory at rest, MiB", ("memory_share", "idle")),
            ("resident after the load, MiB", ("memory", "after_load")),
        ] {
            println!("{what:<40} {}", self.of(figure).text());
        }
    }

    /// In the order of the rounds.
    fn of(&self, (name, figure): Figure) -> Values {
        let mut values = Vec::new();
        for (row, figures) in &self.rows {
            let value = figures.iter().find(|(named, _)| *named == figure).filter(|_| *row == name);
            let round = figures.iter().find(|(named, _)| *named == "round").map_or(0.0, |(_, round)| *round);
            values.extend(value.map(|(_, value)| (round, *value)));
        }
        values.sort_by(|(one, _), (other, _)| one.total_cmp(other));
        Values(values.into_iter().map(|(_, value)| value).collect())
    }
}

struct Values(Vec<f64>);

impl Values {
    fn sorted(&self) -> Vec<f64> {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        sorted
    }

    fn middle(&self) -> f64 {
        self.sorted().get(self.0.len() / 2).copied().unwrap_or(f64::NAN)
    }

    fn ends(&self) -> Option<(f64, f64)> {
        let sorted = self.sorted();
        Some((*sorted.first()?, *sorted.last()?))
    }

    fn text(&self) -> String {
        let middle = self.middle();
        self.ends()
            .map_or_else(|| "-".into(), |(least, most)| format!("{least:.2} / {middle:.2} / {most:.2}"))
    }

    fn whole(&self) -> String {
        let middle = self.middle();
        self.ends()
            .map_or_else(|| "-".into(), |(least, most)| format!("{least:.0} / {middle:.0} / {most:.0}"))
    }
}
