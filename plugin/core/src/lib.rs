//! `tollgate-core`: bytes of an LLM call in, an explained amount of money out.
//!
//! ```text
//! bytes in -> frame -> dialect -> prompt/usage -> tokens -> price -> attribution -> limit -> event -> host
//!             \____________________ this crate: pure, no host, no clock, no I/O ____________________/
//! ```
//!
//! Values in, effects out: there is no clock, randomness, logging, static state or `Host` trait here; time is
//! an argument. [`meter`] alone wires the stages together, and is the place to start reading.
#![forbid(unsafe_code)]

pub mod money;
pub mod price;
pub mod time;
pub mod usage;
