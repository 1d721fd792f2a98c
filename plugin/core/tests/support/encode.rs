//! Bodies as servers compress them, by encoders that have nothing to do with our decoders.
//!
//! Must not know: what is in the bodies.
#![allow(clippy::unwrap_used, reason = "helpers of a test may panic as tests do")]

use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
use std::io::Write;

/// A way to compress: what `content-encoding` then says, a name, and how it is done.
pub(crate) type Encoding = (&'static str, &'static str, fn(&[u8]) -> Vec<u8>);

/// Every way that is tested.
pub(crate) const ENCODINGS: [Encoding; 11] = [
    ("gzip", "gzip", gzip),
    ("x-gzip", "members of gzip", gzip_members),
    ("gzip", "gzip, flushed often", gzip_flushed),
    ("deflate", "zlib", zlib),
    ("deflate", "raw deflate", raw_deflate),
    ("br", "brotli", brotli),
    ("br", "brotli, flushed often", brotli_flushed),
    ("zstd", "zstd", zstd),
    ("zstd", "zstd, flushed often", zstd_flushed),
    ("zstd", "frames of zstd", zstd_frames),
    ("gzip, br", "gzip, then brotli", |plain| brotli(&gzip(plain))),
];

/// What is flushed at once where it is flushed often.
const FLUSHED: usize = 100;

pub(crate) fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(plain).unwrap();
    encoder.finish().unwrap()
}

/// Two members, the second with everything that a header can have.
fn gzip_members(plain: &[u8]) -> Vec<u8> {
    let (first, second) = plain.split_at(plain.len() / 3);
    let header = flate2::GzBuilder::new().filename("answer.json").comment("a comment").extra(vec![7; 300]);
    let mut encoder = header.write(gzip(first), Compression::best());
    encoder.write_all(second).unwrap();
    encoder.finish().unwrap()
}

fn gzip_flushed(plain: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    for piece in plain.chunks(FLUSHED) {
        encoder.write_all(piece).unwrap();
        encoder.flush().unwrap();
    }
    encoder.finish().unwrap()
}

pub(crate) fn zlib(plain: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(plain).unwrap();
    encoder.finish().unwrap()
}

pub(crate) fn raw_deflate(plain: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(plain).unwrap();
    encoder.finish().unwrap()
}

pub(crate) fn brotli(plain: &[u8]) -> Vec<u8> {
    brotli_with(plain, 22, plain.len().max(1))
}

fn brotli_flushed(plain: &[u8]) -> Vec<u8> {
    brotli_with(plain, 18, FLUSHED)
}

/// With a window of so many bits, flushed behind so many bytes.
pub(crate) fn brotli_with(plain: &[u8], window_bits: u32, flushed: usize) -> Vec<u8> {
    let mut encoder = brotli::CompressorWriter::new(Vec::new(), 4096, 5, window_bits);
    for piece in plain.chunks(flushed) {
        encoder.write_all(piece).unwrap();
        encoder.flush().unwrap();
    }
    encoder.into_inner()
}

pub(crate) fn zstd(plain: &[u8]) -> Vec<u8> {
    zstd::bulk::compress(plain, 3).unwrap()
}

/// As a stream, whose length is not known before, with a checksum.
fn zstd_flushed(plain: &[u8]) -> Vec<u8> {
    let mut encoder = zstd::Encoder::new(Vec::new(), 3).unwrap();
    encoder.include_checksum(true).unwrap();
    for piece in plain.chunks(FLUSHED) {
        encoder.write_all(piece).unwrap();
        encoder.flush().unwrap();
    }
    encoder.finish().unwrap()
}

/// Frames, before, between and behind them frames that are to be skipped.
fn zstd_frames(plain: &[u8]) -> Vec<u8> {
    let (first, second) = plain.split_at(plain.len() / 2);
    let skipped = [&[0x53, 0x2A, 0x4D, 0x18, 9, 0, 0, 0][..], b"skip this"].concat();
    let empty = [0x50, 0x2A, 0x4D, 0x18, 0, 0, 0, 0].to_vec();
    [skipped.clone(), zstd(first), empty, zstd_flushed(second), skipped].concat()
}
