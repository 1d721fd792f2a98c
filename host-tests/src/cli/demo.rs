//! `tollgate demo`: a real Envoy with the filter, agent traffic, the bill.

use super::Done;
use std::io::Write;
use tollgate_host::agent::task::TASK_ID;
use tollgate_host::demo::{self, DemoOptions, bill};

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
        print!("Running; press Enter to stop. ");
        std::io::stdout().flush()?;
        // At the end of standard input (a service, a container) only a signal stops it.
        if std::io::stdin().read_line(&mut String::new())? == 0 {
            loop {
                std::thread::park();
            }
        }
    } else {
        println!("They are stopped now; `make demo KEEP=1` (`tollgate demo --keep`) leaves them running.");
    }
    Ok(())
}
