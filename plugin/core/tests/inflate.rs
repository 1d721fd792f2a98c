//! The decoders against independent encoders, and against bodies that mean harm.
#![allow(clippy::unwrap_used, reason = "a test that cannot set up must fail")]

#[path = "support/encode.rs"]
mod encode;

use encode::{ENCODINGS, brotli, brotli_with, gzip, raw_deflate, zlib, zstd};
use proptest::prelude::*;
use tollgate_core::frame::inflate::{Codings, DECODED_MAX, Ending, Fault, Inflate};

fn codings(header: &str) -> Codings {
    Codings::of([header].into_iter()).unwrap()
}

/// What a body in pieces of `size` decodes to, and how it ends.
fn decoded(header: &str, body: &[u8], size: usize) -> (Vec<u8>, Ending) {
    let mut inflate = Inflate::new(&codings(header));
    let mut plain = Vec::new();
    body.chunks(size).for_each(|piece| inflate.feed(piece, &mut |bytes| plain.extend_from_slice(bytes)));
    let ending = inflate.end(&mut |bytes| plain.extend_from_slice(bytes));
    (plain, ending)
}

/// The same, which must not depend on the size of the pieces.
fn in_any_pieces(header: &str, body: &[u8]) -> (Vec<u8>, Ending) {
    let whole = decoded(header, body, body.len().max(1));
    for size in [1, 7, 61, 1000] {
        let found = decoded(header, body, size);
        let lengths = [&found, &whole].map(|(plain, ending)| (plain.len(), *ending));
        assert!(found == whole, "{header} by {size}: {lengths:?}");
    }
    whole
}

fn noise() -> impl Iterator<Item = u8> {
    (0..50_000_u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 13).to_le_bytes()[0])
}

/// Text that repeats itself near and far, then noise.
fn long_text() -> Vec<u8> {
    let line = |number: u32| format!("{{\"id\":{number},\"text\":\"line {}\"}}\n", number.wrapping_mul(2_654_435_761));
    let mut text: Vec<u8> = (0..18_000).map(|number| line(number % 12_000)).collect::<String>().into_bytes();
    text.extend(noise());
    text
}

#[test]
fn what_independent_encoders_made_comes_back_in_any_pieces() {
    let long = long_text();
    for (header, name, encode) in ENCODINGS {
        for plain in [&long[..], &long[..70_000], b"data: {}\n\n", b"{", b""] {
            let (found, ending) = in_any_pieces(header, &encode(plain));
            assert!(found == plain && ending == Ending::Whole, "{name}: {} bytes, {ending:?}", plain.len());
        }
    }
}

#[test]
fn three_codings_are_undone_in_the_reverse_order() {
    let plain = long_text();
    let body = zstd(&brotli(&zlib(&plain)));
    assert!(in_any_pieces("deflate, br, zstd", &body) == (plain, Ending::Whole));
}

#[test]
fn what_was_decoded_of_a_body_that_is_cut_off_counts() {
    let plain = long_text();
    for (header, name, encode) in ENCODINGS {
        let body = encode(&plain);
        let (found, ending) = in_any_pieces(header, &body[..body.len() * 3 / 4]);
        assert_eq!(ending, Ending::Truncated, "{name}");
        assert!(plain.starts_with(&found) && found.len() > 100_000, "{name}: {} bytes", found.len());
    }
}

#[test]
fn what_was_decoded_before_a_fault_counts() {
    let plain = long_text();
    for (header, body) in
        [("gzip", gzip(&plain)), ("deflate", zlib(&plain)), ("zstd", zstd(&plain)), ("br", brotli(&plain))]
    {
        let mut body = body;
        let at = body.len() * 7 / 8;
        body[at..].iter_mut().zip(noise()).for_each(|(byte, noise)| *byte = noise);
        let (found, ending) = in_any_pieces(header, &body);
        assert_ne!(ending, Ending::Whole, "{header}");
        assert!(found.len() > 10_000 && found[..10_000] == plain[..10_000], "{header}: {} bytes", found.len());
    }
}

#[test]
fn a_checksum_that_differs_is_a_fault_behind_the_data() {
    for (header, body) in [("gzip", gzip(b"{\"a\":1}")), ("deflate", zlib(b"{\"a\":1}"))] {
        let mut body = body;
        *body.last_mut().unwrap() ^= 1;
        assert_eq!(in_any_pieces(header, &body), (b"{\"a\":1}".to_vec(), Ending::Faulty(Fault::Garbled)), "{header}");
    }
}

#[test]
fn what_follows_the_last_member_of_gzip_is_ignored() {
    for behind in [&[0_u8; 600][..], b"\x1Fx", b"junk"] {
        let body = [&gzip(b"{}")[..], behind].concat();
        assert_eq!(in_any_pieces("gzip", &body), (b"{}".to_vec(), Ending::Whole));
    }
}

#[test]
fn a_plain_body_under_a_coding_s_name_is_read_as_it_is() {
    for header in ["gzip", "deflate", "br", "zstd", "gzip, br"] {
        for text in ["{\"usage\":{\"prompt_tokens\":8}}", "data: {}\n\n", "[]", ""] {
            assert_eq!(in_any_pieces(header, text.as_bytes()), (text.into(), Ending::Whole), "{header}");
        }
    }
}

#[test]
fn a_request_that_decodes_is_never_taken_for_the_text_it_looks_like() {
    // A stored block of deflate, and a brotli stream, whose bytes begin printable.
    let stored =
        |length: u8| [&[b' ', length, 0, !length, 0xFF][..], &vec![b'x'; usize::from(length)], &[3, 0]].concat();
    let body = stored(b'~');
    assert_eq!(Inflate::whole(&codings("deflate"), &body, 1_000), Ok(vec![b'x'; usize::from(b'~')]));
    assert_eq!(Inflate::whole(&codings("br"), b"{\"model\":\"gpt-4o\"}", 1_000), Err(Fault::Garbled));
    assert_eq!(
        Inflate::whole(&codings("gzip"), b"{\"model\":\"gpt-4o\"}", 1_000),
        Ok(b"{\"model\":\"gpt-4o\"}".to_vec())
    );
    assert_eq!(Inflate::whole(&codings("gzip"), &gzip(b"{}")[..15], 1_000), Err(Fault::Garbled));
    assert_eq!(Inflate::whole(&codings("gzip"), &gzip(&[b'x'; 1_001]), 1_000), Err(Fault::Limit));
    assert_eq!(Inflate::whole(&codings("gzip"), &gzip(&[b'x'; 1_000]), 1_000), Ok(vec![b'x'; 1_000]));
}

#[test]
fn a_body_that_grows_beyond_two_hundred_times_its_size_is_decoded_that_far() {
    let zeros = vec![0; 8 << 20];
    for (header, body) in
        [("gzip", gzip(&zeros)), ("deflate", raw_deflate(&zeros)), ("zstd", zstd(&zeros)), ("br", brotli(&zeros))]
    {
        let (found, ending) = in_any_pieces(header, &body);
        // What the first 4 KiB of a body may become.
        assert_eq!((found.len(), ending), (4096 * 200, Ending::Faulty(Fault::Limit)), "{header}");
    }
    let nested = gzip(&gzip(&vec![0; 64 << 20]));
    assert_eq!(in_any_pieces("gzip, gzip", &nested).1, Ending::Faulty(Fault::Limit));
}

#[test]
fn a_body_is_decoded_to_sixty_four_mebibytes_and_no_further() {
    let line = b"{\"choices\":[{\"delta\":{\"content\":\"and so on\"}}]}\n";
    let part = [&line.repeat(2_000)[..], &noise().take(4_000).collect::<Vec<_>>()].concat();
    let body = gzip(&part).repeat(usize::try_from(DECODED_MAX).unwrap() / part.len() + 1);
    let (found, ending) = decoded("gzip", &body, 60_000);
    assert_eq!((found.len() as u64, ending), (DECODED_MAX, Ending::Faulty(Fault::Limit)));
}

#[test]
fn larger_windows_than_are_granted_are_refused_before_they_are_made() {
    let frame = |window: u8| [&[0x28, 0xB5, 0x2F, 0xFD, 0, window][..], &[1, 0, 0]].concat();
    assert_eq!(in_any_pieces("zstd", &frame(13 << 3)), (vec![], Ending::Whole), "8 MiB");
    for window in [(13 << 3) + 1, 14 << 3, 21 << 3, 0xFF] {
        assert_eq!(in_any_pieces("zstd", &frame(window)), (vec![], Ending::Faulty(Fault::Limit)), "{window}");
    }
    // A single segment is its own window.
    let segment = [&[0x28, 0xB5, 0x2F, 0xFD, 0xA0][..], &(9_u32 << 20).to_le_bytes(), &[1, 0, 0]].concat();
    assert_eq!(in_any_pieces("zstd", &segment).1, Ending::Faulty(Fault::Limit));
    let text = long_text();
    assert!(in_any_pieces("br", &brotli_with(&text, 22, text.len())) == (text.clone(), Ending::Whole));
    for bits in [23, 24] {
        let (found, ending) = in_any_pieces("br", &brotli_with(&text, bits, text.len()));
        assert_eq!((found.len(), ending), (0, Ending::Faulty(Fault::Limit)), "{bits} bits");
    }
}

#[test]
fn dictionaries_that_nobody_has_are_refused() {
    // A frame that names dictionary 7; a zlib header that says there is one.
    let frame = [0x28, 0xB5, 0x2F, 0xFD, 1, 0x58, 7, 1, 0, 0];
    assert_eq!(in_any_pieces("zstd", &frame), (vec![], Ending::Faulty(Fault::Garbled)));
    let mut body = zlib(b"{}");
    body[..2].copy_from_slice(&[0x78, 0xBB]);
    assert_eq!(in_any_pieces("deflate", &body), (vec![], Ending::Faulty(Fault::Garbled)));
}

proptest! {
    #[test]
    fn any_bytes_come_back_from_every_coding(
        plain in proptest::collection::vec(prop_oneof![Just(b'a'), any::<u8>()], 0..3_000),
        size in 1_usize..200,
    ) {
        for (header, name, encode) in ENCODINGS {
            prop_assert_eq!(&decoded(header, &encode(&plain), size), &(plain.clone(), Ending::Whole), "{}", name);
        }
    }

    #[test]
    fn any_bytes_and_any_damage_give_the_same_in_any_pieces(
        plain in "(data: [a-z]{0,9}\n\n){0,60}",
        damage in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 0..4),
        size in 1_usize..70,
    ) {
        for (header, name, encode) in ENCODINGS {
            let mut body = encode(plain.as_bytes());
            for (at, byte) in &damage {
                let at = at.index(body.len());
                body[at] = *byte;
            }
            prop_assert_eq!(decoded(header, &body, size), decoded(header, &body, body.len()), "{}", name);
        }
    }
}
