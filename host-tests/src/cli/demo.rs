//! `tollgate demo`: a real Envoy with the filter, agent traffic, the bill.

use super::Done;
use super::page::wait;
use tollgate_host::agent::task::TASK_ID;
use tollgate_host::artifact;
use tollgate_host::demo::{self, DemoOptions, bill};
use tollgate_host::page::{self, Page};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Leave the gateway and the provider stand-in running until Enter is pressed or the program is stopped.
    #[arg(long)]
    keep: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Done {
    let demo = demo::run(&DemoOptions::default())?;
    println!("{}", bill::render(&demo.events, TASK_ID));
    println!("{} requests in {:.1} s through a real Envoy.", demo.requests, demo.took.as_secs_f64());
    for (what, place) in demo.places() {
        println!("  {what}: {place}");
    }
    if arguments.keep {
        println!("Building the page; the first time this takes a minute or two.");
        // On the log itself, so that what is sent from now on is there when the page is loaded again.
        let page = Page::serve(page::built()?, Some(demo.envoy.access_log_path().to_owned()))?;
        println!("  the bill as a page: {}", page.url());
        return wait();
    }
    let events = artifact::target().join("demo-events.jsonl");
    let lines: String = demo.events.iter().map(|event| format!("{event}\n")).collect();
    std::fs::write(&events, lines).map_err(|why| format!("{}: {why}", events.display()))?;
    println!("They are stopped now; `make demo KEEP=1` (`tollgate demo --keep`) leaves them running.");
    println!("The bill as a page: `make xray` (`tollgate page {}`).", events.display());
    Ok(())
}
