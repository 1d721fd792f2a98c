//! From measured rounds to tables of medians.

use crate::case::Case;
use crate::lineup::Lineup;
use crate::start::Start;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;
use tollgate_host::artifact;

/// CPU per request by case, gateway and round, in microseconds.
pub struct Rounds<'a> {
    cases: &'a [Case],
    measured: BTreeMap<(&'static str, Lineup), Vec<f64>>,
}

impl<'a> Rounds<'a> {
    pub fn new(cases: &'a [Case]) -> Self {
        Self { cases, measured: BTreeMap::new() }
    }

    pub fn add(&mut self, case: &Case, lineup: Lineup, per_request: Duration) {
        self.measured.entry((case.name, lineup)).or_default().push(per_request.as_secs_f64() * 1e6);
    }

    fn of(&self, case: &Case, lineup: Lineup) -> &[f64] {
        &self.measured[&(case.name, lineup)]
    }

    /// What a gateway needs beyond the one without a filter, by round.
    fn added(&self, case: &Case, lineup: Lineup) -> Vec<f64> {
        self.beyond(case, lineup, Lineup::None)
    }

    /// What a gateway needs beyond another, by round.
    fn beyond(&self, case: &Case, lineup: Lineup, other: Lineup) -> Vec<f64> {
        self.of(case, lineup).iter().zip(self.of(case, other)).map(|(with, without)| with - without).collect()
    }

    /// Medians of CPU per request and of what each filter adds; and medians of the ratios of each round.
    pub fn table(&self) -> String {
        use Lineup::{Apart, Exporting, Floor, Native, None, Tollgate};
        let mut text = String::from(
            "\nCPU per request, medians\n\n\
             | case | none | floor | native | Tollgate | added: floor | native | Tollgate | of native's addition | of floor's | events apart, of native's | export adds |\n\
             |---|---|---|---|---|---|---|---|---|---|---|---|\n",
        );
        for case in self.cases {
            let mut row = format!("| {} | {:.0} µs", case.name, median(self.of(case, None)));
            for lineup in [Floor, Native, Tollgate] {
                let ratio = median(ratios(self.of(case, lineup), self.of(case, None)));
                _ = write!(row, " | {:.0} µs ×{ratio:.2}", median(self.of(case, lineup)));
            }
            for lineup in [Floor, Native, Tollgate] {
                _ = write!(row, " | {:.0} µs", median(self.added(case, lineup)));
            }
            let of_native = |lineup| median(ratios(&self.added(case, lineup), &self.added(case, Native)));
            let of_floor = median(ratios(self.of(case, Tollgate), self.of(case, Floor)));
            let export = median(self.beyond(case, Exporting, Tollgate));
            _ = writeln!(
                text,
                "{row} | ×{:.2} | ×{of_floor:.2} | ×{:.2} | {export:.0} µs |",
                of_native(Tollgate),
                of_native(Apart)
            );
        }
        text
    }
}

/// Memory, size and start.
pub fn footprint(resident: &BTreeMap<Lineup, f64>, on_all: &Start, on_one: &Start) -> String {
    let mut text = String::from("\nResident memory");
    for (lineup, mib) in resident {
        _ = write!(text, ", {} {mib:.0} MiB", lineup.name());
    }
    let size = std::fs::metadata(artifact::wasm().expect("built")).expect("a file").len();
    _ = writeln!(
        text,
        "\nModule {:.2} MB, compiled in {:.0} ms by all CPUs and in {:.0} ms by one, a VM ready in {:.1} ms",
        size as f64 / 1e6,
        on_all.compile_ms,
        on_one.compile_ms,
        on_one.ready_ms
    );
    text
}

fn ratios<'v>(of: &'v [f64], to: &'v [f64]) -> impl Iterator<Item = f64> + 'v {
    of.iter().zip(to).map(|(of, to)| of / to)
}

/// The middle one, or the mean of the two in the middle.
pub fn median<V: std::borrow::Borrow<f64>>(values: impl IntoIterator<Item = V>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().map(|value| *value.borrow()).collect();
    values.sort_by(f64::total_cmp);
    let half = values.len() / 2;
    if values.len() % 2 == 1 { values[half] } else { f64::midpoint(values[half - 1], values[half]) }
}
