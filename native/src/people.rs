//! Who acted, on whom, and by whom a record may be searched for: `user`, `group` and `related`.

use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;

use crate::part::{member, single};
use crate::subtrees::{Parts, LONGEST_NAME};
use crate::write::{ids, list, member_of, members_of, once, open, separate, text_member};

/// What a userIdentity adds to documents. Names and ids are what stands between a JSON string's quotes.
#[derive(FromPyObject)]
pub struct Identity {
    /// `aws.cloudtrail.user_identity`.
    pub fields: Option<Vec<u8>>,
    /// What is in `user`, without its braces; and without `user.entity`.
    pub user: Vec<u8>,
    pub user_without_entity: Vec<u8>,
    pub account: Vec<u8>,
    pub users: Vec<Vec<u8>>,
    pub entities: Vec<Vec<u8>>,
    pub actor: Option<Vec<u8>>,
    pub acting: Option<String>,
    pub service: Option<Vec<u8>>,
    /// The role's ARN, where the identity is a role's session.
    pub assumed: Option<Vec<u8>>,
    /// Python's own, for `enrich`.
    pub known: PyObject,
}

/// What is known of a caller now: members of `aws` without braces; `user.effective`, the person's name and first address,
/// each "" where there is none.
#[derive(FromPyObject)]
pub struct Added(pub PyBackedBytes, pub PyBackedBytes, pub PyBackedBytes, pub PyBackedBytes);

/// The same, borrowed: it is asked for with every record, and copying it out of Python would cost more than to write it.
#[derive(Default)]
pub struct Extra<'a>(pub &'a [u8], pub &'a [u8], pub &'a [u8], pub &'a [u8]);

/// What a record adds to `user`, `group` and those who may be searched for.
#[derive(Default)]
pub struct People<'a> {
    target_name: &'a [u8],
    target_id: &'a [u8],
    new_name: &'a [u8],
    group_name: &'a [u8],
    group_id: &'a [u8],
}

impl<'a> People<'a> {
    /// Find them; None where one is too long or written unusually.
    pub fn of(parts: &Parts<'a>) -> Option<People<'a>> {
        let mut people = People::default();
        let text = |value: Option<&'a [u8]>| {
            let text = value.map_or(Some(&b""[..]), single)?;
            (text.len() < LONGEST_NAME).then_some(text)
        };
        if let Some(asked) = &parts.request {
            people.target_name = text(asked.member(b"userName"))?;
            people.new_name = text(asked.member(b"newUserName"))?;
            people.group_name = text(asked.member(b"groupName"))?;
        }
        if let Some(answered) = &parts.response {
            if let Some(user) = answered.member(b"user") {
                people.target_id = text(member(user, b"userId")?)?;
            }
            if let Some(group) = answered.member(b"group") {
                people.group_id = text(member(group, b"groupId")?)?;
            }
        }
        Some(people)
    }
}

/// Add `user` and `group`.
pub fn add_user(
    out: &mut Vec<u8>,
    who: &Identity,
    people: &People<'_>,
    targets: &[&[u8]],
    entity: Option<&[u8]>,
    effective: &[u8],
) {
    let before = out.len();
    open(out, "user");
    let empty = out.len();
    members_of(out, if entity.is_some() { &who.user_without_entity } else { &who.user });
    if let Some(entity) = entity {
        ids(out, &[entity]);
    }
    if !people.new_name.is_empty() {
        open(out, "changes");
        text_member(out, "name", people.new_name);
        out.push(b'}');
    }
    if !(people.target_name.is_empty() && people.target_id.is_empty() && targets.is_empty()) {
        open(out, "target");
        text_member(out, "name", people.target_name);
        text_member(out, "id", people.target_id);
        if !targets.is_empty() {
            ids(out, targets);
        }
        out.push(b'}');
    }
    if !effective.is_empty() {
        member_of(out, "effective", effective);
    }
    if out.len() == empty {
        out.truncate(before);
    } else {
        out.push(b'}');
    }
    if !(people.group_name.is_empty() && people.group_id.is_empty()) {
        open(out, "group");
        text_member(out, "name", people.group_name);
        text_member(out, "id", people.group_id);
        out.push(b'}');
    }
}

/// Add all by which a record may be searched for.
pub fn add_related(
    out: &mut Vec<u8>,
    address: &[u8],
    entities: &[&[u8]],
    who: &Identity,
    people: &People<'_>,
    extra: &Extra<'_>,
) {
    open(out, "related");
    let mut addresses: Vec<&[u8]> = Vec::with_capacity(2);
    for address in [address, extra.3] {
        if !address.is_empty() {
            once(&mut addresses, address);
        }
    }
    if !addresses.is_empty() {
        out.extend_from_slice(b"\"ip\":");
        list(out, &addresses);
    }
    if !entities.is_empty() {
        separate(out);
        out.extend_from_slice(b"\"entity\":");
        list(out, entities);
    }
    let mut users: Vec<&[u8]> = who.users.iter().map(Vec::as_slice).collect();
    for name in [people.target_name, people.new_name, people.target_id, extra.2] {
        if !name.is_empty() {
            once(&mut users, name);
        }
    }
    if !users.is_empty() {
        separate(out);
        out.extend_from_slice(b"\"user\":");
        list(out, &users);
    }
    out.push(b'}');
}
