//! Images, sounds, videos and documents in a request, however a dialect writes them.
//!
//! All dialects say the same few things under names that do not clash: a type, a media type, a link or Base64 data, how
//! closely to look; in one object, or nested in a member named after the medium. So one reader serves all of them.
//! Invariants: looks [`NESTING_MAX`] objects deep.
//! Must not know: which dialect, what a medium costs.

use super::object::{members, string};
use crate::frame::raw::Raw;
use crate::media::{Medium, Modality};
use std::borrow::Cow;

/// `{"type": "file", "file": {"file_data": ...}}`, `{"image": {"source": {"bytes": ...}}}`.
const NESTING_MAX: u8 = 3;

/// The medium that a part of a message is; a document, where it does not say.
pub(super) fn read(part: Raw<'_>) -> Medium {
    let mut seen = Seen::default();
    match string(part) {
        Some(data) => seen.data = Some(data),
        None => seen.read(part, NESTING_MAX),
    }
    seen.medium()
}

/// An image that stands as a bare string of Base64, or as any other part.
pub(super) fn read_image(part: Raw<'_>) -> Medium {
    string(part).map_or_else(|| read(part), |data| Medium::of(Modality::Image, &data))
}

/// The medium in a member that says what it is by its name (`inlineData` does not, `image` does).
pub(super) fn read_member(key: &str, value: Raw<'_>) -> Medium {
    let mut seen = Seen::default();
    seen.member(key, value, NESTING_MAX);
    seen.medium()
}

/// What a part says of its medium.
#[derive(Default)]
struct Seen<'a> {
    modality: Option<Modality>,
    media_type: Option<Cow<'a, str>>,
    data: Option<Cow<'a, str>>,
    is_coarse: bool,
}

impl<'a> Seen<'a> {
    fn read(&mut self, part: Raw<'a>, nesting: u8) {
        members(part.get(), |key, value| self.member(&key, value, nesting));
    }

    fn member(&mut self, key: &str, value: Raw<'a>, nesting: u8) {
        match key {
            "type" => self.modality = self.modality.or(string(value).as_deref().and_then(named)),
            "media_type" | "mime_type" | "mimeType" => self.media_type = string(value),
            "url" | "uri" | "fileUri" | "file_uri" | "data" | "bytes" | "file_data" | "file_url" => {
                self.data = self.data.take().or(string(value));
            }
            // What a stored file is called by tells nothing.
            key if key.ends_with("_id") || key.ends_with("name") => {}
            "detail" | "resolution" => self.is_coarse = string(value).is_some_and(|detail| detail == "low"),
            _ => {
                let modality = named(key);
                if modality.is_none() && !matches!(key, "source" | "inlineData" | "inline_data" | "fileData") {
                    return;
                }
                self.modality = self.modality.or(modality);
                match (string(value), nesting.checked_sub(1)) {
                    (Some(data), _) => self.data = self.data.take().or(Some(data)),
                    (None, Some(deeper)) => self.read(value, deeper),
                    (None, None) => {}
                }
            }
        }
    }

    fn medium(&self) -> Medium {
        let data = self.data.as_deref().unwrap_or_default();
        let of_link = data.strip_prefix("data:").and_then(|rest| rest.split([';', ',']).next());
        let medium = match (of_link.or(self.media_type.as_deref()), self.modality) {
            (Some(media_type), _) => Medium::of_type(media_type, data),
            (None, modality) => Medium::of(modality.unwrap_or(Modality::Document), data),
        };
        medium.coarse(self.is_coarse)
    }
}

/// The modality that a type or a member's name tells: `input_image`, `image_url`, `video`, `document`.
fn named(name: &str) -> Option<Modality> {
    [
        ("image", Modality::Image),
        ("audio", Modality::Audio),
        ("video", Modality::Video),
        ("document", Modality::Document),
        ("file", Modality::Document),
    ]
    .into_iter()
    .find_map(|(word, modality)| name.contains(word).then_some(modality))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::Rates;

    /// A PNG of 600 by 300 pixels.
    const PNG: &str = "iVBORw0KGgoAAAANSUhEUgAAAlgAAAEsCAYAAAA=";

    fn check(part: &str, modality: Modality, tokens: u64) {
        let part = part.replace("PNG", PNG);
        let medium = read(Raw::of(&part).expect("JSON"));
        assert_eq!((medium.modality, medium.tokens(Rates::of("gpt-4o"))), (modality, tokens), "{part}");
    }

    #[test]
    fn every_dialect_s_image_is_seen() {
        for part in [
            r#"{"type":"image_url","image_url":{"url":"data:image/png;base64,PNG"}}"#,
            r#"{"type":"image_url","image_url":"data:image/png;base64,PNG"}"#,
            r#"{"type":"input_image","image_url":"data:image/png;base64,PNG"}"#,
            r#"{"type":"image","source":{"type":"base64","media_type":"image/png","data":"PNG"}}"#,
            r#"{"image":{"format":"png","source":{"bytes":"PNG"}}}"#,
            r#"{"inlineData":{"mimeType":"image/png","data":"PNG"}}"#,
            r#"{"inline_data":{"mime_type":"image/png","data":"PNG"}}"#,
            r#"{"type":"image","mime_type":"image/png","data":"PNG"}"#,
            r#"{"type":"file","file":{"file_data":"data:image/png;base64,PNG"}}"#,
        ] {
            check(part, Modality::Image, 85 + 2 * 170);
        }
        check(
            r#"{"type":"image_url","image_url":{"url":"data:image/png;base64,PNG","detail":"low"}}"#,
            Modality::Image,
            85,
        );
        check(r#"{"type":"image_url","image_url":{"url":"https://example.com/x.png"}}"#, Modality::Image, 765);
    }

    #[test]
    fn sounds_videos_and_documents_are_told_apart() {
        check(r#"{"type":"input_audio","input_audio":{"data":"//uQAA==","format":"mp3"}}"#, Modality::Audio, 0);
        check(r#"{"type":"input_audio","input_audio":"https://example.com/a"}"#, Modality::Audio, 300);
        check(r#"{"fileData":{"mimeType":"video/mp4","fileUri":"x"}}"#, Modality::Video, 263 * 60);
        check(r#"{"type":"input_file","file_id":"f"}"#, Modality::Document, 1_500);
        check(r#"{"document":{"format":"pdf","name":"n","source":{"bytes":"JVBERi0="}}}"#, Modality::Document, 1_500);
        check(r#"{"document":{"format":"txt","source":{"bytes":"aGVsbG8gd29ybGQ="}}}"#, Modality::Document, 3);
        check(r#"{}"#, Modality::Document, 1_500);
    }
}
