//! Generates what the filter reads but nobody should write by hand. One module per kind of data.
#[path = "build/tokens.rs"]
mod tokens;

fn main() {
    tokens::generate();
}
