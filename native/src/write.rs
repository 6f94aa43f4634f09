//! How the parts of a document are put together.

/// Add a text where it is not there yet.
pub fn once<'a>(texts: &mut Vec<&'a [u8]>, text: &'a [u8]) {
    if !texts.contains(&text) {
        texts.push(text);
    }
}

/// Write a comma, where something stands before in the same object or list.
pub fn separate(out: &mut Vec<u8>) {
    if !matches!(out.last(), Some(b'{' | b'[')) {
        out.push(b',');
    }
}

/// Begin a member that is an object.
pub fn open(out: &mut Vec<u8>, name: &str) {
    member_of(out, name, b"{");
}

/// Add a member whose value is written already.
pub fn member_of(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    separate(out);
    out.push(b'"');
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":");
    out.extend_from_slice(value);
}

/// Add members that are written already, without their braces.
pub fn members_of(out: &mut Vec<u8>, members: &[u8]) {
    if !members.is_empty() {
        separate(out);
        out.extend_from_slice(members);
    }
}

/// Add a text that stands between quotes as it is; nothing where it is empty.
pub fn text_member(out: &mut Vec<u8>, name: &str, text: &[u8]) {
    if !text.is_empty() {
        member_of(out, name, b"\"");
        out.extend_from_slice(text);
        out.push(b'"');
    }
}

/// Add `entity.id`.
pub fn ids(out: &mut Vec<u8>, some: &[&[u8]]) {
    open(out, "entity");
    out.extend_from_slice(b"\"id\":");
    list(out, some);
    out.push(b'}');
}

/// Add a list of texts that stand between quotes as they are.
pub fn list(out: &mut Vec<u8>, texts: &[&[u8]]) {
    out.push(b'[');
    for text in texts {
        separate(out);
        out.push(b'"');
        out.extend_from_slice(text);
        out.push(b'"');
    }
    out.push(b']');
}
