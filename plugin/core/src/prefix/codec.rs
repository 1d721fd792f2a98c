//! Records as bytes: numbers of variable length and lists, one behind the other.
//!
//! Invariants: what was not written by this reads as nothing, and costs no more memory than it has bytes.
//! Must not know: what the numbers mean.

/// Something that is written as bytes.
pub(super) trait Coded: Sized {
    fn write(&self, bytes: &mut Vec<u8>);
    fn read(bytes: &mut &[u8]) -> Option<Self>;
}

impl Coded for u64 {
    /// Seven bits a byte, the lowest first; all but the last have the highest bit.
    fn write(&self, bytes: &mut Vec<u8>) {
        let mut rest = *self;
        while let Ok(low @ 0x80..) = u8::try_from(rest & 0x7F | u64::from(rest > 0x7F) << 7) {
            bytes.push(low);
            rest >>= 7;
        }
        bytes.extend(u8::try_from(rest));
    }

    fn read(bytes: &mut &[u8]) -> Option<Self> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = bytes.split_first()?;
            *bytes = rest;
            value |= Self::from(byte & 0x7F) << shift;
            if *byte < 0x80 {
                return Some(value);
            }
        }
        None
    }
}

impl Coded for u32 {
    fn write(&self, bytes: &mut Vec<u8>) {
        u64::from(*self).write(bytes);
    }

    fn read(bytes: &mut &[u8]) -> Option<Self> {
        Self::try_from(u64::read(bytes)?).ok()
    }
}

impl<T: Coded> Coded for Vec<T> {
    fn write(&self, bytes: &mut Vec<u8>) {
        u64::try_from(self.len()).unwrap_or(0).write(bytes);
        self.iter().for_each(|item| item.write(bytes));
    }

    fn read(bytes: &mut &[u8]) -> Option<Self> {
        let length = u64::read(bytes)?;
        // Every item has a byte at least.
        if length > u64::try_from(bytes.len()).ok()? {
            return None;
        }
        (0..length).map(|_| T::read(bytes)).collect()
    }
}

/// What bytes stand for; an empty record for bytes of anything else.
pub(super) fn decode<T: Coded>(mut bytes: &[u8]) -> Vec<T> {
    Coded::read(&mut bytes).unwrap_or_default()
}

/// The bytes of a record.
pub(super) fn encode<T: Coded>(record: &Vec<T>) -> Vec<u8> {
    let mut bytes = Vec::new();
    record.write(&mut bytes);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_written_is_read_again_and_nonsense_is_nothing(numbers in prop::collection::vec(any::<u64>(), 0..20), cut in 0_usize..200) {
            let mut bytes = Vec::new();
            numbers.write(&mut bytes);
            prop_assert_eq!(Vec::<u64>::read(&mut bytes.as_slice()), Some(numbers));
            bytes.truncate(cut.min(bytes.len().saturating_sub(1)));
            prop_assert_eq!(Vec::<u64>::read(&mut bytes.as_slice()), None);
        }
    }
}
