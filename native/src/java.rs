//! The order of entries in a Java `HashMap`; `shipper/schemas/ecs/java_maps.py` says what it is.

const FIRST_SIZE: usize = 16;
/// With so many keys in one bucket a table grows early, or the bucket becomes a tree: not for this code.
const CROWDED: usize = 9;

/// An entry of a map.
#[derive(Clone, Copy)]
pub struct Entry<'a> {
    /// Its key, as it stands in JSON: one without escapes.
    pub key: &'a [u8],
    /// Where its text begins and ends; both the same for one that is left out.
    pub text: (usize, usize),
    hash: u32,
}

impl<'a> Entry<'a> {
    /// Make an entry that has no text yet; None where the key is no UTF-8.
    pub fn new(key: &'a [u8]) -> Option<Entry<'a>> {
        Some(Entry { key, text: (0, 0), hash: spread_hash(key)? })
    }

    /// Whether it has a text.
    pub fn is_kept(&self) -> bool {
        self.text.1 > self.text.0
    }
}

/// Sort a map's entries, which stand as they were put into it, into the order of iteration; true where that is the same.
/// None: not for this code.
pub fn sort(entries: &mut [Entry<'_>]) -> Option<bool> {
    let count = entries.len();
    if count >= CROWDED {
        let mut counts = [0; FIRST_SIZE];
        for entry in &*entries {
            counts[entry.hash as usize & (FIRST_SIZE - 1)] += 1;
        }
        if counts.iter().any(|&count| count >= CROWDED) {
            return None;
        }
    }
    let mut size = FIRST_SIZE;
    while count * 4 > size * 3 {
        size *= 2;
    }
    let bucket = |entry: &Entry<'_>| entry.hash as usize & (size - 1);
    let mut sorted = true;
    for at in 1..count {
        let entry = entries[at];
        let mut to = at;
        while to > 0 && bucket(&entries[to - 1]) > bucket(&entry) {
            entries[to] = entries[to - 1];
            to -= 1;
        }
        if to != at {
            entries[to] = entry;
            sorted = false;
        }
    }
    Some(sorted)
}

/// `String.hashCode`, over UTF-16 code units, with its upper half mixed into the lower one.
fn spread_hash(key: &[u8]) -> Option<u32> {
    let mix = |code: u32, unit: u32| code.wrapping_mul(31).wrapping_add(unit);
    let code = if key.is_ascii() {
        key.iter().fold(0, |code, &unit| mix(code, u32::from(unit)))
    } else {
        std::str::from_utf8(key).ok()?.encode_utf16().fold(0, |code, unit| mix(code, u32::from(unit)))
    };
    Some(code ^ code >> 16)
}

#[cfg(test)]
mod tests {
    use super::{sort, spread_hash, Entry};

    #[test]
    fn hashes_are_those_of_java() {
        assert_eq!(spread_hash(b""), Some(0));
        assert_eq!(spread_hash(b"Aa"), spread_hash(b"BB"));
        assert_eq!(spread_hash(b"userName"), Some(0xf01a_fcf6 ^ 0xf01a));
        let pair = 0xd83d * 31 + 0xde00;
        assert_eq!(spread_hash("\u{1f600}".as_bytes()), Some(pair ^ pair >> 16));
    }

    #[test]
    fn entries_are_sorted_by_their_buckets() {
        let mut entries: Vec<Entry<'_>> = [b"roleName".as_slice(), b"policyArn"].into_iter().filter_map(Entry::new).collect();
        let sorted = sort(&mut entries);
        let keys: Vec<&[u8]> = entries.iter().map(|entry| entry.key).collect();
        assert_eq!((sorted, keys), (Some(false), vec![b"policyArn".as_slice(), b"roleName"]));
        assert_eq!(sort(&mut entries), Some(true));
    }

    #[test]
    fn keys_that_collide_are_left_to_python() {
        let colliding = |number: u8| (0..4).flat_map(|bit| if number >> bit & 1 == 0 { *b"Aa" } else { *b"BB" }).collect();
        let keys: Vec<Vec<u8>> = (0..9).map(colliding).collect();
        let mut entries: Vec<Entry<'_>> = keys.iter().filter_map(|key| Entry::new(key)).collect();
        assert_eq!(sort(&mut entries), None);
        assert_eq!(sort(&mut entries[..8]), Some(true));
    }
}
