//! Whether a record may hold secrets: a quick look that is wrong only in saying yes.

use memchr::memmem;
use pyo3::prelude::*;

/// The names before `"` that end in Token or Password, and the beginnings of those that are whole.
const ENDS: [&[u8]; 2] = [b"Token", b"Password"];
const BEGINNINGS: [&[u8]; 9] =
    [b"assw", b"assp", b"riva", b"reSh", b"ecret", b"lientS", b"eyMat", b"utPar", b"mportS"];

/// Looks for the names that `redaction/secrets.py` knows.
pub struct Names {
    ends: Vec<memmem::Finder<'static>>,
    beginnings: Vec<memmem::Finder<'static>>,
}

impl Default for Names {
    fn default() -> Self {
        let finders = |words: &[&'static [u8]]| words.iter().map(|word| memmem::Finder::new(*word)).collect();
        Names { ends: finders(&ENDS), beginnings: finders(&BEGINNINGS) }
    }
}

impl Names {
    /// Which of the names stand in a record: 1 for those that end in Token, 2 in Password, 4 for the others.
    pub fn kinds_in(&self, data: &[u8]) -> u8 {
        let ended = |finder: &memmem::Finder<'_>| {
            let length = finder.needle().len();
            finder.find_iter(data).any(|at| matches!(data.get(at + length), Some(b'"' | b'\\')))
        };
        let begun = |finder: &memmem::Finder<'_>| {
            finder.find_iter(data).any(|at| {
                at >= 2 && data[at - 2] == b'"' && matches!(data[at - 1] | 0x20, b'c' | b'k' | b'p' | b's' | b'i')
            })
        };
        let [tokens, passwords] = [&self.ends[0], &self.ends[1]].map(ended);
        u8::from(tokens) | u8::from(passwords) << 1 | u8::from(self.beginnings.iter().any(begun)) << 2
    }
}

/// Says quickly whether a record may hold secrets that `redaction/secrets.py` would mask; wrong only in saying yes.
#[pyclass(frozen)]
pub struct SecretNames(Names);

#[pymethods]
impl SecretNames {
    #[new]
    fn new() -> Self {
        SecretNames(Names::default())
    }

    /// Look for the names of secrets in a record's bytes: 1 for tokens, 2 for passwords, 4 for others, added up.
    fn kinds_in(&self, record: &[u8]) -> u8 {
        self.0.kinds_in(record)
    }
}
