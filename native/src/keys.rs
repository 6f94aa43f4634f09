//! Whether an object of a record has a key twice, told while the record is walked over.

use std::collections::HashSet;

use pyo3::prelude::*;

use crate::json;

/// Objects of more keys are looked at with a set.
const FEW: usize = 48;
const DEEPEST: usize = 64;

/// The keys of the objects that a walk is in, those of the outer ones first.
pub struct Keys<'a> {
    names: Vec<&'a [u8]>,
    sets: Vec<HashSet<&'a [u8]>>,
}

impl<'a> Keys<'a> {
    pub fn new() -> Self {
        Keys { names: Vec::with_capacity(64), sets: Vec::new() }
    }

    /// Begin an object; what it returns goes to `add` and `leave`.
    pub fn enter(&self) -> Place {
        Place { start: self.names.len(), set: None }
    }

    /// Note a key. False: the object has it already, or it has an escape, so that it may.
    pub fn add(&mut self, place: &mut Place, (name, text): (&'a [u8], json::Text)) -> bool {
        if text.escaped {
            return false;
        }
        if let Some(set) = place.set {
            return self.sets[set].insert(name);
        }
        let own = &self.names[place.start..];
        if own.contains(&name) {
            return false;
        }
        if own.len() >= FEW {
            let mut set: HashSet<&[u8]> = own.iter().copied().collect();
            set.insert(name);
            place.set = Some(self.sets.len());
            self.sets.push(set);
            return true;
        }
        self.names.push(name);
        true
    }

    /// End an object.
    pub fn leave(&mut self, place: &Place) {
        self.names.truncate(place.start);
        if let Some(set) = place.set {
            self.sets.truncate(set);
        }
    }
}

/// Where the keys of one object begin.
pub struct Place {
    start: usize,
    set: Option<usize>,
}

/// Walk over any value whose objects have each key once; `at` is its first byte. None: they do not, or it is not JSON.
pub fn value<'a>(data: &'a [u8], at: usize, keys: &mut Keys<'a>) -> Option<usize> {
    nested(data, at, 0, keys)
}

fn nested<'a>(data: &'a [u8], at: usize, depth: usize, keys: &mut Keys<'a>) -> Option<usize> {
    if depth > DEEPEST {
        return None;
    }
    match data.get(at)? {
        b'{' => {
            let mut place = keys.enter();
            let end = json::members(data, at, |key, value_at| {
                if !keys.add(&mut place, key) {
                    return None;
                }
                nested(data, value_at, depth + 1, keys)
            })?;
            keys.leave(&place);
            Some(end)
        }
        b'[' => json::elements(data, at, |element_at| nested(data, element_at, depth + 1, keys)),
        _ => json::value(data, at),
    }
}

/// Say whether an object of a record has a key twice. None leaves it to Python.
#[pyfunction]
pub fn has_duplicate_keys(record: &[u8]) -> Option<bool> {
    let end = value(record, 0, &mut Keys::new())?;
    (json::skip_space(record, end) == record.len()).then_some(false)
}
