//! placeholder
pub(super) fn tokens(text: &[u8]) -> u64 {
    text.len() as u64 / 4
}
