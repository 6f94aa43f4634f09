//! Whether a record may hold secrets: a quick look that is wrong only in saying yes.

use memchr::memmem;

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
    /// Whether one of the names stands in a record.
    pub fn may_be_in(&self, data: &[u8]) -> bool {
        let ended = |finder: &memmem::Finder<'_>| {
            let length = finder.needle().len();
            finder.find_iter(data).any(|at| matches!(data.get(at + length), Some(b'"' | b'\\')))
        };
        let begun = |finder: &memmem::Finder<'_>| {
            finder.find_iter(data).any(|at| {
                at >= 2 && data[at - 2] == b'"' && matches!(data[at - 1] | 0x20, b'c' | b'k' | b'p' | b's' | b'i')
            })
        };
        self.ends.iter().any(ended) || self.beginnings.iter().any(begun)
    }
}
