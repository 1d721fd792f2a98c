//! What a filter costs a real Envoy: CPU per request with none, with one that only copies bodies, with Envoy's own
//! `ai_protocol_manager`, and with Tollgate, everything on. `make bench` runs it; `BENCHMARKS.md` explains it.
//!
//! All gateways run side by side from the same shipped configuration, each with one worker, pinned to CPU 0; load and
//! upstream are on CPU 1. A round sends the same number of requests through each gateway in turn, every round in another
//! order, and only ratios within a round are compared, so that a busy machine disturbs all of them alike.
//! Invariants: CPU is what the kernel says each gateway's threads ran, not what the clock says; no request is sent
//! twice: each ends in a tail that none before it had.
//! Must not know: how filters work.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::float_arithmetic, reason = "a bench")]

mod case;
mod lineup;
mod load;
mod process;
mod report;
mod start;
mod text;

use case::Case;
use lineup::Lineup;
use load::Tails;
use report::Rounds;

fn main() {
    let is_quick = std::env::var_os("QUICK").is_some_and(|value| value == "1");
    let rounds = if is_quick { 20 } else { 100 };
    process::pin_self(process::LOAD);
    let mut cases = Case::all();
    // Cargo adds `--bench`.
    if let Some(only) = std::env::args().skip(1).find(|argument| !argument.starts_with('-')) {
        cases.retain(|case| case.name.contains(&only));
    }
    let upstream = case::upstream(&cases).expect("an upstream");
    let gateways: Vec<_> = Lineup::ALL.into_iter().map(|lineup| (lineup, lineup.start(upstream.address()))).collect();
    let mut tails = Tails::default();
    let mut measured = Rounds::new(&cases);
    for round in 0..=rounds {
        for case in &cases {
            for turn in 0..gateways.len() {
                let (lineup, gateway) = &gateways[(turn + round) % gateways.len()];
                let cpu = process::cpu(gateway.id());
                load::send(gateway.url(), case, &mut tails);
                let spent = process::cpu(gateway.id()) - cpu;
                // The first round warms up.
                if round > 0 {
                    measured.add(case, *lineup, spent / u32::try_from(case.requests).expect("a few thousand"));
                }
            }
        }
        if round % 10 == 0 {
            eprintln!("round {round} of {rounds}");
        }
    }
    let resident = gateways.iter().map(|(lineup, gateway)| (*lineup, process::resident_mib(gateway.id()))).collect();
    print!("{}", measured.table());
    gateways.iter().for_each(|(lineup, gateway)| lineup.check(gateway));
    drop(gateways);
    let starts = if is_quick { 3 } else { 10 };
    let start_on = |cpus| start::measure(upstream.address(), starts, cpus);
    print!("{}", report::footprint(&resident, &start_on(start::ALL), &start_on(process::GATEWAYS)));
}
