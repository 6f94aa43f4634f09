//! One open-ended part of a record (requestParameters, responseElements, …): as the text of a Java map, `{a=b, c={d=e}}`,
//! in the order of a Java map, and as JSON without what is empty.

use crate::java::{sort, Entry};
use crate::json;

/// Longer parts may need cutting, which is not done here.
const LONGEST: usize = 8_000;
/// What is nested more deeply becomes text, which is not done here.
const DEEPEST: usize = 20;
const MOST_KEYS: usize = 64;

/// Values that say nothing.
fn is_empty(text: &[u8]) -> bool {
    matches!(text, b"" | b"-" | b"none")
}

/// A part as documents have it.
pub struct Part<'a> {
    /// What stands between the quotes of the text as a JSON string.
    pub text: Vec<u8>,
    /// The part as JSON.
    pub flattened: Vec<u8>,
    /// Its own members: keys, and their values' bytes.
    members: Vec<(&'a [u8], &'a [u8])>,
}

impl<'a> Part<'a> {
    /// Write a part. None in None: it is empty. None: it is none of the usual ones, and not for this code.
    pub fn written(data: &'a [u8]) -> Option<Option<Part<'a>>> {
        if matches!(data, b"null" | b"{}" | b"\"\"" | b"[]") {
            return Some(None);
        }
        if data.len() >= LONGEST || data.first() != Some(&b'{') {
            return None;
        }
        let mut writer = Writer {
            data,
            text: Vec::with_capacity(data.len() + data.len() / 4),
            flattened: Vec::with_capacity(data.len()),
            spare: Vec::new(),
            entries: Vec::with_capacity(32),
        };
        let mut members = Vec::new();
        let kept = writer.object(0, 0, Some(&mut members))?.1;
        let Writer { text, flattened, .. } = writer;
        Some(kept.then_some(Part { text, flattened, members }))
    }

    /// The value of one of its own members.
    pub fn member(&self, name: &[u8]) -> Option<&'a [u8]> {
        self.members.iter().find(|(key, _)| *key == name).map(|(_, value)| *value)
    }

    /// Its own members, in their order.
    pub fn members(&self) -> &[(&'a [u8], &'a [u8])] {
        &self.members
    }
}

struct Writer<'a> {
    data: &'a [u8],
    text: Vec<u8>,
    flattened: Vec<u8>,
    /// Where text is put into order.
    spare: Vec<u8>,
    /// Of all maps that are being written, the innermost one's last.
    entries: Vec<Entry<'a>>,
}

impl<'a> Writer<'a> {
    /// Write a value; returns its end, and whether anything was written.
    fn value(&mut self, at: usize, depth: usize) -> Option<(usize, bool)> {
        match self.data.get(at)? {
            b'"' => {
                let found = json::text(self.data, at)?;
                if found.unicode {
                    return None;
                }
                let content = &self.data[at + 1..found.end - 1];
                if is_empty(content) {
                    return Some((found.end, false));
                }
                self.text.extend_from_slice(content);
                self.flattened.extend_from_slice(&self.data[at..found.end]);
                Some((found.end, true))
            }
            b'{' => self.object(at, depth, None),
            b'[' => self.list(at, depth),
            b'-' | b'0'..=b'9' => {
                let (end, plain) = json::number(self.data, at)?;
                plain.then(|| self.as_it_is(at, end))
            }
            b'n' => Some((json::word(self.data, at)?, false)),
            _ => {
                let end = json::word(self.data, at)?;
                Some(self.as_it_is(at, end))
            }
        }
    }

    fn as_it_is(&mut self, at: usize, end: usize) -> (usize, bool) {
        self.text.extend_from_slice(&self.data[at..end]);
        self.flattened.extend_from_slice(&self.data[at..end]);
        (end, true)
    }

    fn object(
        &mut self,
        at: usize,
        depth: usize,
        mut members: Option<&mut Vec<(&'a [u8], &'a [u8])>>,
    ) -> Option<(usize, bool)> {
        if depth >= DEEPEST {
            return None;
        }
        let data = self.data;
        let before = (self.text.len(), self.flattened.len());
        self.text.push(b'{');
        self.flattened.push(b'{');
        let first = self.entries.len();
        let mut any = false;
        let end = json::members(data, at, |(name, key), value_at| {
            let place = self.entries.len();
            let others = &self.entries[first..];
            if key.escaped || others.len() >= MOST_KEYS || others.iter().any(|other| other.key == name) {
                return None;
            }
            self.entries.push(Entry::new(name)?);
            let here = (self.text.len(), self.flattened.len());
            if any {
                self.text.extend_from_slice(b", ");
                self.flattened.push(b',');
            }
            let start = self.text.len();
            self.text.extend_from_slice(name);
            self.text.push(b'=');
            self.flattened.push(b'"');
            self.flattened.extend_from_slice(name);
            self.flattened.extend_from_slice(b"\":");
            let (end, kept) = self.value(value_at, depth + 1)?;
            if kept {
                any = true;
                self.entries[place].text = (start, self.text.len());
                if let Some(members) = members.as_deref_mut() {
                    members.push((name, &data[value_at..end]));
                }
            } else {
                self.back_to(here);
            }
            Some(end)
        })?;
        if !any {
            self.back_to(before);
        } else {
            if !sort(&mut self.entries[first..])? {
                self.put_in_order(before.0 + 1, first);
            }
            self.text.push(b'}');
            self.flattened.push(b'}');
        }
        self.entries.truncate(first);
        Some((end, any))
    }

    /// Write the text of a map's entries anew, in their order.
    ///
    /// `start` is where the text of the first one began, `first` the first entry.
    fn put_in_order(&mut self, start: usize, first: usize) {
        self.spare.clear();
        self.spare.extend_from_slice(&self.text[start..]);
        self.text.truncate(start);
        for entry in self.entries[first..].iter().filter(|entry| entry.is_kept()) {
            if self.text.len() > start {
                self.text.extend_from_slice(b", ");
            }
            self.text.extend_from_slice(&self.spare[entry.text.0 - start..entry.text.1 - start]);
        }
    }

    fn list(&mut self, at: usize, depth: usize) -> Option<(usize, bool)> {
        if depth >= DEEPEST {
            return None;
        }
        let data = self.data;
        let before = (self.text.len(), self.flattened.len());
        self.text.push(b'[');
        self.flattened.push(b'[');
        let mut any = false;
        let end = json::elements(data, at, |element_at| {
            let here = (self.text.len(), self.flattened.len());
            if any {
                self.text.extend_from_slice(b", ");
                self.flattened.push(b',');
            }
            let (end, kept) = self.value(element_at, depth + 1)?;
            if kept {
                any = true;
            } else {
                self.back_to(here);
            }
            Some(end)
        })?;
        self.text.push(b']');
        self.flattened.push(b']');
        if !any {
            self.back_to(before);
        }
        Some((end, any))
    }

    fn back_to(&mut self, lengths: (usize, usize)) {
        self.text.truncate(lengths.0);
        self.flattened.truncate(lengths.1);
    }
}

/// A single value as Python's `str` writes it: the bytes, "" for an object or a list. None: not for this code.
///
/// What is empty ("", "-", "none", null) gives "" too.
pub fn single(data: &[u8]) -> Option<&[u8]> {
    match data.first()? {
        b'"' => {
            let found = json::text(data, 0)?;
            let content = &data[1..found.end - 1];
            (!found.escaped).then_some(if is_empty(content) { b"" } else { content })
        }
        b'{' | b'[' | b'n' => Some(b""),
        b't' => Some(b"True"),
        b'f' => Some(b"False"),
        _ => json::number(data, 0)?.1.then_some(data),
    }
}

/// Add all single values at the end of a way, whatever lists are on it.
pub fn follow<'a>(data: &'a [u8], way: &[Vec<u8>], found: &mut Vec<&'a [u8]>) -> Option<()> {
    match data.first()? {
        b'[' => {
            json::elements(data, 0, |at| {
                let end = json::value(data, at)?;
                follow(&data[at..end], way, found)?;
                Some(end)
            })?;
        }
        first => match way.split_first() {
            Some((wanted, rest)) => {
                if *first == b'{' {
                    if let Some(value) = member(data, wanted)? {
                        follow(value, rest, found)?;
                    }
                }
            }
            None => match single(data)? {
                b"" | b"0" | b"False" if *first != b'"' => {}
                b"" => {}
                text => found.push(text),
            },
        },
    }
    Some(())
}

/// The value of an object's member; None in None where there is none, or the data is no object.
pub fn member<'a>(data: &'a [u8], wanted: &[u8]) -> Option<Option<&'a [u8]>> {
    if data.first() != Some(&b'{') {
        return Some(None);
    }
    let mut found = None;
    json::members(data, 0, |(name, _), at| {
        let end = json::value(data, at)?;
        if name == wanted {
            found = Some(&data[at..end]);
        }
        Some(end)
    })?;
    Some(found)
}
