//! `tollgate page`: the X-ray page, built, and served on loopback.

use super::Done;
use std::io::Write;
use std::path::PathBuf;
use tollgate_host::page::{self, Page};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// A log of events that the page opens: JSON lines, an access log, or a gateway's own log.
    events: Option<PathBuf>,
    /// Only build the page, and print the folder: any file server can serve it.
    #[arg(long, conflicts_with = "events")]
    build: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Done {
    eprintln!("Building the page; the first time this takes a minute or two.");
    let folder = page::built()?;
    if arguments.build {
        println!("{}", folder.display());
        return Ok(());
    }
    if let Some(events) = &arguments.events {
        std::fs::metadata(events).map_err(|why| format!("{}: {why}", events.display()))?;
    }
    let page = Page::serve(folder, arguments.events.clone())?;
    println!("the page: {}", page.url());
    wait()
}

/// Until Enter is pressed or the program is stopped.
pub(crate) fn wait() -> Done {
    print!("Running; press Enter to stop. ");
    std::io::stdout().flush()?;
    // At the end of standard input (a service, a container) only a signal stops it.
    if std::io::stdin().read_line(&mut String::new())? == 0 {
        loop {
            std::thread::park();
        }
    }
    Ok(())
}
