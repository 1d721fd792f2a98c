//! Generates the static tables the core is compiled with. One module per kind of data.

#[path = "build/prices.rs"]
mod prices;
#[path = "build/tokens.rs"]
mod tokens;
#[path = "build/zones.rs"]
mod zones;

fn main() {
    prices::generate();
    tokens::generate();
    zones::generate();
}
