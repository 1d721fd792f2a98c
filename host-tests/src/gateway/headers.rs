//! [`Headers`]: an ordered multimap of lower-case names, and its form on the wire of the ABI.
//!
//! Must not know: which gateway shows what; pseudo-headers are ordinary entries here.

/// Header or trailer fields in order. Names are lower-case; values are bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Headers {
    fields: Vec<(String, Vec<u8>)>,
}

impl Headers {
    /// No fields.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The first value of a field, as text.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<String> {
        self.get(name).map(|value| String::from_utf8_lossy(value).into_owned())
    }

    /// The first value of a field.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        self.fields.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_slice())
    }

    /// All values of a field, joined with commas as gateways do.
    #[must_use]
    pub fn joined(&self, name: &str) -> Option<Vec<u8>> {
        let values: Vec<&[u8]> = self
            .fields
            .iter()
            .filter(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_slice())
            .collect();
        (!values.is_empty()).then(|| values.join(&b","[..]))
    }

    /// Appends a field.
    pub fn add(&mut self, name: &str, value: impl AsRef<[u8]>) {
        self.fields.push((name.to_ascii_lowercase(), value.as_ref().to_vec()));
    }

    /// Replaces all values of a field by one, in the place of the first.
    pub fn set(&mut self, name: &str, value: impl AsRef<[u8]>) {
        let place = self.fields.iter().position(|(known, _)| known.eq_ignore_ascii_case(name));
        self.remove(name);
        let field = (name.to_ascii_lowercase(), value.as_ref().to_vec());
        match place {
            Some(index) => self.fields.insert(index.min(self.fields.len()), field),
            None => self.fields.push(field),
        }
    }

    /// Removes all values of a field.
    pub fn remove(&mut self, name: &str) {
        self.fields.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
    }

    /// The fields in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.fields.iter().map(|(name, value)| (name.as_str(), value.as_slice()))
    }

    /// How many fields.
    #[must_use]
    pub fn len(&self) -> usize {
        self.fields.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// The ABI's map format: count, sizes, then NUL-terminated names and values.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let word = |number: usize| u32::try_from(number).unwrap_or(u32::MAX).to_le_bytes();
        let mut wire = word(self.fields.len()).to_vec();
        for (name, value) in &self.fields {
            wire.extend(word(name.len()));
            wire.extend(word(value.len()));
        }
        for (name, value) in &self.fields {
            wire.extend(name.as_bytes());
            wire.push(0);
            wire.extend(value);
            wire.push(0);
        }
        wire
    }

    /// Reads the ABI's map format; `None` when it is malformed.
    pub(crate) fn decode(wire: &[u8]) -> Option<Self> {
        if wire.is_empty() {
            return Some(Self::new());
        }
        let word = |index: usize| -> Option<usize> {
            let bytes: [u8; 4] = wire.get(index * 4..index * 4 + 4)?.try_into().ok()?;
            usize::try_from(u32::from_le_bytes(bytes)).ok()
        };
        let count = word(0)?;
        let mut at = 4 + count.checked_mul(8)?;
        let mut headers = Self::new();
        for field in 0..count {
            let (name_length, value_length) = (word(1 + field * 2)?, word(2 + field * 2)?);
            let name = wire.get(at..at + name_length)?;
            at += name_length + 1;
            let value = wire.get(at..at + value_length)?;
            at += value_length + 1;
            headers.add(std::str::from_utf8(name).ok()?, value);
        }
        Some(headers)
    }
}

impl<const N: usize> From<[(&str, &str); N]> for Headers {
    fn from(fields: [(&str, &str); N]) -> Self {
        fields.iter().collect()
    }
}

impl<'a> FromIterator<&'a (&'a str, &'a str)> for Headers {
    fn from_iter<I: IntoIterator<Item = &'a (&'a str, &'a str)>>(fields: I) -> Self {
        let mut headers = Self::new();
        for (name, value) in fields {
            headers.add(name, value);
        }
        headers
    }
}

impl<'a> FromIterator<(&'a str, &'a str)> for Headers {
    fn from_iter<I: IntoIterator<Item = (&'a str, &'a str)>>(fields: I) -> Self {
        let mut headers = Self::new();
        for (name, value) in fields {
            headers.add(name, value);
        }
        headers
    }
}

#[cfg(test)]
mod tests {
    use super::Headers;

    #[test]
    fn the_wire_format_round_trips() {
        let headers = Headers::from([(":path", "/v1"), ("x", ""), ("x", "2")]);
        assert_eq!(Headers::decode(&headers.encode()), Some(headers));
    }
}
