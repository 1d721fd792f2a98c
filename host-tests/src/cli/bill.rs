//! `tollgate bill`: what changed the cost from one period to the next.

use super::Done;
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use tollgate_core::attribution::Dimension;
use tollgate_core::bill::{Bill, Billed, Line, Lines, When};
use tollgate_core::money::Usd;
use tollgate_host::demo::bill::{dollars, grouped, table};
use tollgate_host::events;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The events of the earlier period: an access log, a gateway's log, or JSON lines.
    before: PathBuf,
    /// Those of the later one. Take periods of the same length.
    after: PathBuf,
    /// The dimension whose values have lines of their own.
    #[arg(long, default_value = "app", value_parser = dimension)]
    by: Dimension,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Done {
    let mut bill = Bill::default();
    for (when, path) in [(When::Before, &arguments.before), (When::After, &arguments.after)] {
        for call in read(path)? {
            bill.add(when, call.attribution(arguments.by.name()), &call);
        }
    }
    let lines = bill.lines();
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&lines)?);
    } else {
        print!("{}", shown(&lines, arguments.by.name()));
    }
    Ok(())
}

fn read(path: &Path) -> Result<Vec<Billed>, String> {
    let failed = |why| format!("{}: {why}", path.display());
    let (calls, without) = events::read(BufReader::new(File::open(path).map_err(failed)?)).map_err(failed)?;
    if calls.is_empty() {
        return Err(format!("{}: none of its {without} lines holds an event of Tollgate", path.display()));
    }
    Ok(calls)
}

fn dimension(name: &str) -> Result<Dimension, String> {
    let known = || Dimension::ALL.map(Dimension::name).join(", ");
    Dimension::ALL.into_iter().find(|dimension| dimension.name() == name).ok_or_else(|| format!("one of {}", known()))
}

/// The bill as a table.
fn shown(lines: &Lines, by: &str) -> String {
    let rows: Vec<_> = lines.groups.iter().map(|line| row(line.name.as_deref().unwrap_or("(none)"), line)).collect();
    let rows = [rows, vec![row("total", &lines.total)]].concat();
    let headings = [by, "calls", "before", "calls", "after", "volume", "caching", "routing", "trimming", "difference"];
    let mut text = table(&headings, &rows);
    let total = &lines.total;
    for (count, what) in [
        (total.before.unpriced + total.after.unpriced, "have an unknown cost and are not in it"),
        (total.before.undivided + total.after.undivided, "do not say what input and output cost; it counts as a fee"),
    ] {
        if count > 0 {
            text.push_str(&format!("\n  {} calls {what}.\n", grouped(count)));
        }
    }
    text
}

fn row(name: &str, line: &Line) -> Vec<String> {
    let signed = |amount: Usd| if amount > Usd::ZERO { format!("+{}", dollars(amount)) } else { dollars(amount) };
    let effects = &line.effects;
    let changes = [effects.volume, effects.caching, effects.routing, effects.trimming, line.difference_usd].map(signed);
    let periods = [&line.before, &line.after].map(|period| [grouped(period.calls), dollars(period.cost_usd)]);
    [&[name.to_owned()], periods.as_flattened(), &changes].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bill_shows_each_group_its_causes_and_what_is_not_known() {
        let call = |json: &str| serde_json::from_str::<Billed>(json).unwrap();
        let before = call(
            r#"{"cost_usd":"4","input_tokens":1000,"output_tokens":0,"cost":{"input_uncached":"4"},"cache":{"savings_usd":"0"}}"#,
        );
        let after = call(
            r#"{"cost_usd":"1","input_tokens":1000,"output_tokens":0,"cost":{"cache_read":"1"},"cache":{"savings_usd":"3"}}"#,
        );
        let mut bill = Bill::default();
        bill.add(When::Before, Some("shop"), &before);
        bill.add(When::After, Some("shop"), &after);
        bill.add(When::After, None, &before);
        bill.add(When::After, None, &call(r#"{"cost_usd":null,"input_tokens":1}"#));
        let shown = shown(&bill.lines(), "app");
        let words =
            |name| shown.lines().find(|line| line.contains(name)).unwrap().split_whitespace().collect::<Vec<_>>();
        let zero = "$0";
        assert_eq!(
            words("shop"),
            ["shop", "1", "$4.000000", "1", "$1.000000", zero, "-$3.000000", zero, zero, "-$3.000000"]
        );
        assert_eq!(
            words("(none)"),
            ["(none)", "0", zero, "1", "$4.000000", "+$4.000000", zero, zero, zero, "+$4.000000"]
        );
        assert_eq!(words("total")[9], "+$1.000000");
        assert!(shown.contains("1 calls have an unknown cost"), "{shown}");
    }
}
