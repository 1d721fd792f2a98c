//! What stands for an API key: a keyed hash of it.
//!
//! A key authenticates the caller, so its hash is the strongest thing known of one who shows nothing else.
//! Invariants: the key itself, or a hash that could be looked up without the secret, leaves this module never.
//! Must not know: dimensions, what the hash is used for.

use crate::head::RequestHead;
use hmac::{Hmac, KeyInit, Mac};
use std::borrow::Cow;

/// The key that a request carries, in the first of these headers that it has, else, as at Google, in the query. The order
/// must be the provider's: a header that the provider does not look at could hold anything, and another thing each time.
pub(super) fn of<'a>(head: &RequestHead<'a>, headers: &[&str]) -> Option<Cow<'a, str>> {
    let in_header = headers.iter().find_map(|name| head.headers.get(name)).map(credential);
    in_header.or_else(|| query(head.path, "key")).filter(|key| !key.is_empty())
}

/// The first 64 bits of HMAC-SHA256 under the secret, in hexadecimal.
#[inline(never)]
pub(super) fn keyed_hash(secret: &str, value: &str) -> String {
    let Ok(mut mac) = Hmac::<sha2::Sha256>::new_from_slice(secret.as_bytes()) else {
        return String::from("unhashed");
    };
    mac.update(value.as_bytes());
    mac.finalize().into_bytes().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

/// The part of a header that stays the same from call to call: the key without its scheme (`Bearer`), and of a
/// signature (AWS SigV4) the access key that made it.
fn credential(value: &str) -> Cow<'_, str> {
    let (scheme, rest) = value.split_once(' ').unwrap_or(("", value));
    if !scheme.starts_with("AWS4-") {
        return Cow::Borrowed(rest.trim());
    }
    let credential = rest.split(',').find_map(|field| field.trim().strip_prefix("Credential="));
    Cow::Borrowed(credential.and_then(|credential| credential.split('/').next()).unwrap_or_default())
}

fn query<'a>(path: &'a str, name: &str) -> Option<Cow<'a, str>> {
    let (_, query) = path.split_once('?')?;
    let mut members = query.split('&').filter_map(|member| member.split_once('='));
    members.find(|(key, _)| *key == name).map(|(_, value)| Cow::Borrowed(value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::head::Headers;

    fn key(name: &str, value: &str, path: &str) -> Option<String> {
        let pairs = [(name, value)];
        let head =
            RequestHead { method: "POST", path, host: "", headers: Headers::new(&pairs), ..RequestHead::default() };
        of(&head, &["authorization", "x-api-key", "x-goog-api-key"]).map(Cow::into_owned)
    }

    #[test]
    fn a_header_that_the_provider_does_not_look_at_is_no_key() {
        let pairs = [("x-api-key", "sk-made-up"), ("authorization", "Bearer sk-1")];
        let head = RequestHead { headers: Headers::new(&pairs), ..RequestHead::default() };
        assert_eq!(of(&head, &["authorization", "x-api-key"]).as_deref(), Some("sk-1"));
        assert_eq!(of(&head, &["x-api-key", "authorization"]).as_deref(), Some("sk-made-up"));
    }

    #[test]
    fn a_key_is_the_same_whatever_carries_it() {
        for (name, value, path) in [
            ("authorization", "Bearer sk-1", "/"),
            ("authorization", "sk-1", "/"),
            ("x-api-key", "sk-1", "/"),
            ("x-goog-api-key", "sk-1", "/"),
            ("accept", "*/*", "/v1beta/models/m:generateContent?alt=sse&key=sk-1"),
        ] {
            assert_eq!(key(name, value, path).as_deref(), Some("sk-1"), "{name}: {value} {path}");
        }
        assert_eq!(key("accept", "*/*", "/?monkey=sk-1&key="), None);
    }

    #[test]
    fn of_a_signed_request_the_access_key_counts_and_not_the_signature() {
        let signed = "AWS4-HMAC-SHA256 Credential=AKIAEXAMPLE/20261125/us-east-1/bedrock/aws4_request, \
                      SignedHeaders=host;x-amz-date, Signature=fe5f80";
        assert_eq!(key("authorization", signed, "/").as_deref(), Some("AKIAEXAMPLE"));
        assert_eq!(key("authorization", "AWS4-HMAC-SHA256 broken", "/"), None);
    }

    #[test]
    fn a_hash_depends_on_the_secret_and_does_not_hold_the_key() {
        let hash = keyed_hash("s", "sk-1");
        assert_eq!((hash.len(), hash.contains("sk")), (16, false));
        assert_ne!(hash, keyed_hash("t", "sk-1"));
    }
}
