//! Generates the static tables the core is compiled with.

#[path = "build/prices.rs"]
mod prices;

fn main() {
    prices::generate();
}
