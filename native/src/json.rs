//! Strict JSON, walked over in place: nothing is copied, and what is not exactly JSON is refused.

/// How deeply values may be nested.
const DEEPEST: usize = 64;

/// A string in quotes: where it stands, and what is in it.
#[derive(Clone, Copy)]
pub struct Text {
    /// Index of the first byte after the closing quote.
    pub end: usize,
    /// It has a backslash.
    pub escaped: bool,
    /// It has a `\u` escape, which may be half of a surrogate pair.
    pub unicode: bool,
}

/// The index of the first byte that is no white space.
pub fn skip_space(data: &[u8], mut at: usize) -> usize {
    while let Some(b' ' | b'\n' | b'\r' | b'\t') = data.get(at) {
        at += 1;
    }
    at
}

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGH: u64 = 0x8080_8080_8080_8080;

/// Whether one of eight bytes is a quote, a backslash or a control character.
fn special(word: u64) -> bool {
    let quote = word ^ (ONES * 0x22);
    let slash = word ^ (ONES * 0x5c);
    let found = (quote.wrapping_sub(ONES) & !quote)
        | (slash.wrapping_sub(ONES) & !slash)
        | (word.wrapping_sub(ONES * 0x20) & !word);
    found & HIGH != 0
}

/// Walk over a string; `at` is its opening quote.
pub fn text(data: &[u8], at: usize) -> Option<Text> {
    if *data.get(at)? != b'"' {
        return None;
    }
    let mut at = at + 1;
    let (mut escaped, mut unicode) = (false, false);
    loop {
        while let Some(chunk) = data.get(at..at + 8) {
            if special(u64::from_le_bytes(chunk.try_into().ok()?)) {
                break;
            }
            at += 8;
        }
        match *data.get(at)? {
            b'"' => return Some(Text { end: at + 1, escaped, unicode }),
            b'\\' => {
                escaped = true;
                match *data.get(at + 1)? {
                    b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => at += 2,
                    b'u' => {
                        unicode = true;
                        if !data.get(at + 2..at + 6)?.iter().all(u8::is_ascii_hexdigit) {
                            return None;
                        }
                        at += 6;
                    }
                    _ => return None,
                }
            }
            0..=0x1f => return None,
            _ => at += 1,
        }
    }
}

/// Walk over a number; the second value says whether it is an integer of at most 18 digits.
pub fn number(data: &[u8], at: usize) -> Option<(usize, bool)> {
    let start = at;
    let mut at = at + usize::from(data.get(at) == Some(&b'-'));
    let digits = at;
    match *data.get(at)? {
        b'0' => at += 1,
        b'1'..=b'9' => at = after_digits(data, at),
        _ => return None,
    }
    let mut plain = at - digits <= 18 && &data[start..at] != b"-0";
    if data.get(at) == Some(&b'.') {
        plain = false;
        at = some_digits(data, at + 1)?;
    }
    if let Some(b'e' | b'E') = data.get(at) {
        plain = false;
        at += 1;
        if let Some(b'+' | b'-') = data.get(at) {
            at += 1;
        }
        at = some_digits(data, at)?;
    }
    Some((at, plain))
}

fn after_digits(data: &[u8], mut at: usize) -> usize {
    while let Some(b'0'..=b'9') = data.get(at) {
        at += 1;
    }
    at
}

fn some_digits(data: &[u8], at: usize) -> Option<usize> {
    let end = after_digits(data, at);
    (end > at).then_some(end)
}

/// Walk over `true`, `false` or `null`.
pub fn word(data: &[u8], at: usize) -> Option<usize> {
    let word: &[u8] = match data.get(at)? {
        b't' => b"true",
        b'f' => b"false",
        b'n' => b"null",
        _ => return None,
    };
    data[at..].starts_with(word).then_some(at + word.len())
}

/// Walk over any value; `at` is its first byte.
pub fn value(data: &[u8], at: usize) -> Option<usize> {
    nested(data, at, 0)
}

fn nested(data: &[u8], at: usize, depth: usize) -> Option<usize> {
    if depth > DEEPEST {
        return None;
    }
    match data.get(at)? {
        b'"' => Some(text(data, at)?.end),
        b'{' => members(data, at, |_, value_at| nested(data, value_at, depth + 1)),
        b'[' => elements(data, at, |element_at| nested(data, element_at, depth + 1)),
        b'-' | b'0'..=b'9' => Some(number(data, at)?.0),
        _ => word(data, at),
    }
}

/// Walk over an object: each member's key (with its place) and the index of its value go to `each`, which returns the
/// value's end.
pub fn members<'a>(
    data: &'a [u8],
    at: usize,
    mut each: impl FnMut((&'a [u8], Text), usize) -> Option<usize>,
) -> Option<usize> {
    let mut at = skip_space(data, at + 1);
    if *data.get(at)? == b'}' {
        return Some(at + 1);
    }
    loop {
        let key = text(data, at)?;
        let name = &data[at + 1..key.end - 1];
        at = skip_space(data, key.end);
        if *data.get(at)? != b':' {
            return None;
        }
        at = each((name, key), skip_space(data, at + 1))?;
        at = skip_space(data, at);
        match *data.get(at)? {
            b',' => at = skip_space(data, at + 1),
            b'}' => return Some(at + 1),
            _ => return None,
        }
    }
}

/// Walk over a list: the index of each element goes to `each`, which returns the element's end.
pub fn elements(data: &[u8], at: usize, mut each: impl FnMut(usize) -> Option<usize>) -> Option<usize> {
    let mut at = skip_space(data, at + 1);
    if *data.get(at)? == b']' {
        return Some(at + 1);
    }
    loop {
        at = skip_space(data, each(at)?);
        match *data.get(at)? {
            b',' => at = skip_space(data, at + 1),
            b']' => return Some(at + 1),
            _ => return None,
        }
    }
}

/// Write bytes as what stands between the quotes of a JSON string.
pub fn escape(data: &[u8], out: &mut Vec<u8>) {
    let mut rest = data;
    while !rest.is_empty() {
        let mut plain = 0;
        while let Some(chunk) = rest.get(plain..plain + 8) {
            match chunk.try_into().map(u64::from_le_bytes) {
                Ok(word) if !special(word) => plain += 8,
                _ => break,
            }
        }
        plain += rest[plain..].iter().take_while(|&&byte| byte >= 0x20 && byte != b'"' && byte != b'\\').count();
        out.extend_from_slice(&rest[..plain]);
        let Some(&byte) = rest.get(plain) else { return };
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            _ => {
                out.extend_from_slice(b"\\u00");
                out.push(b"0123456789abcdef"[usize::from(byte >> 4)]);
                out.push(b"0123456789abcdef"[usize::from(byte & 15)]);
            }
        }
        rest = &rest[plain + 1..];
    }
}
