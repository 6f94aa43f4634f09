//! CloudTrail records of the usual kinds as ECS documents.
//!
//! `shipper/schemas/ecs/cloudtrail*.py` says what a document is; this code writes the same one faster, and leaves to it
//! every record that is in any way unusual. What is equal in many records (who called, from where, with what) is
//! mapped by that Python code, once, and kept as JSON.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::cache::Cache;
use crate::json;
use crate::people::{add_related, add_user, Added, Extra, Identity, People};
use crate::record::{copied, plain, Record};
use crate::stamp;
use crate::subtrees::{add_parts, named, resources, Parts, MOST_NAMED};
use crate::tables::{Kind, Known, Tables};
use crate::write::{ids, list, member_of, members_of, once, open, separate, text_member};

/// Longer records may need cutting.
const LONGEST: usize = 24_000;

/// What is equal in all records of one kind of call by one account: members without their braces, of `aws.cloudtrail`,
/// `event`, `cloud`, the document, and `aws`.
#[derive(FromPyObject)]
struct Call(Vec<u8>, Vec<u8>, Vec<u8>, Vec<u8>, Vec<u8>);

/// ECS's `source`, whether the address is an IP address, and `cloud.origin` ("" for none).
#[derive(FromPyObject)]
struct Place(Vec<u8>, bool, Vec<u8>);

/// Writes documents. Safe to use from many threads.
#[pyclass(frozen)]
pub struct CloudTrailEncoder {
    known: Known,
    identities: Cache<Identity>,
    calls: Cache<Call>,
    places: Cache<Place>,
    agents: Cache<Vec<u8>>,
    connections: Cache<Vec<u8>>,
    teaching: HashMap<Vec<u8>, HashSet<Vec<u8>>>,
    teach: Option<PyObject>,
    enrich: Option<PyObject>,
}

#[pymethods]
impl CloudTrailEncoder {
    /// Make an encoder.
    ///
    /// Args:
    ///     tables: which parameters name what a call was about.
    ///     identity: userIdentity's bytes → what it adds to documents.
    ///     call: a record's bytes → what is equal in all records of that kind.
    ///     place: an address → ECS's source, whether it is an IP address, and ECS's cloud.origin, empty for none.
    ///     agent: a user agent, as a JSON string → ECS's user_agent.
    ///     connection: tlsDetails's bytes → ECS's tls, empty for none.
    ///     teaching: by eventSource, the eventNames of successful calls that `teach` is told of: a record's bytes.
    ///     enrich: what `identity` gave as `known` → what is known of the caller now, or None.
    #[new]
    #[pyo3(signature = (tables, identity, call, place, agent, connection, teaching, teach, enrich))]
    #[allow(clippy::too_many_arguments)]
    fn new(
        tables: Tables,
        identity: PyObject,
        call: PyObject,
        place: PyObject,
        agent: PyObject,
        connection: PyObject,
        teaching: HashMap<String, Vec<String>>,
        teach: Option<PyObject>,
        enrich: Option<PyObject>,
    ) -> PyResult<Self> {
        let bytes = |(service, names): (String, Vec<String>)| {
            (service.into_bytes(), names.into_iter().map(String::into_bytes).collect())
        };
        let known = Known::new(tables)
            .ok_or_else(|| pyo3::exceptions::PyValueError::new_err("the tables name a kind that is not known"))?;
        Ok(CloudTrailEncoder {
            known,
            identities: Cache::new(identity, 8_192),
            calls: Cache::new(call, 16_384),
            places: Cache::new(place, 65_536),
            agents: Cache::new(agent, 8_192),
            connections: Cache::new(connection, 4_096),
            teaching: teaching.into_iter().map(bytes).collect(),
            teach,
            enrich,
        })
    }

    /// Forget what was found for addresses.
    fn forget_places(&self) {
        self.places.forget();
    }

    /// Forget what was written of kinds of calls: what their accounts are called may be other now.
    fn forget_calls(&self) {
        self.calls.forget();
    }

    /// Write one record's document: its time in milliseconds, its id and its JSON; None leaves it to Python.
    ///
    /// Args:
    ///     record: its bytes.
    ///     head: the document's beginning, an object without its closing brace.
    ///     stored: what goes under `aws.s3`; empty for nothing.
    ///     account: the one that the record's place vouches for; empty where it names none.
    fn encode<'py>(
        &self,
        py: Python<'py>,
        record: &[u8],
        head: &[u8],
        stored: &[u8],
        account: &[u8],
    ) -> Option<(u64, String, Bound<'py, PyBytes>)> {
        if record.len() > LONGEST {
            return None;
        }
        let event = Record::parsed(record)?;
        let claimed = plain(event.recipient_account_id)?;
        if !account.is_empty() && !claimed.is_empty() && claimed != account {
            return None;
        }
        let (time_ms, body) = self.document(py, record, &event, head, stored)?;
        let event_id = plain(event.event_id)?;
        if event_id.is_empty() {
            return None;
        }
        let id = stamp::document_id(time_ms, claimed, event_id);
        Some((time_ms, id, PyBytes::new(py, &body)))
    }
}

impl CloudTrailEncoder {
    fn document(
        &self,
        py: Python<'_>,
        raw: &[u8],
        event: &Record<'_>,
        head: &[u8],
        stored: &[u8],
    ) -> Option<(u64, Vec<u8>)> {
        let name = plain(event.event_name)?;
        let service = plain(event.event_source)?;
        if name == b"ConsoleLogin" || name == b"SendCommand" || service == b"signin.amazonaws.com" {
            return None;
        }
        let time = plain(event.event_time)?;
        let time_ms = stamp::milliseconds(time)?;
        let who = self.who(py, event)?;
        let call = self.call(py, raw, event, &who)?;
        let parts = Parts::of(event)?;
        if may_state_outcome(event, &parts, name)? {
            return None;
        }
        let people = People::of(&parts)?;
        if let Some(teach) = &self.teach {
            let teaches = self.teaching.get(service).is_some_and(|names| names.contains(name));
            if teaches && copied(event.error_code)?.is_empty() {
                teach.bind(py).call1((PyBytes::new(py, raw),)).ok()?;
            }
        }
        let added = match &self.enrich {
            Some(enrich) => enrich.bind(py).call1((&who.known,)).ok()?.extract::<Option<Added>>().ok()?,
            None => None,
        };
        let extra = added.as_ref().map_or_else(Extra::default, |made| Extra(&made.0, &made.1, &made.2, &made.3));
        let (resources, arns) = resources(event.resources)?;

        let mut out = Vec::with_capacity(raw.len() * 4);
        out.extend_from_slice(head);
        out.extend_from_slice(b",\"@timestamp\":\"");
        out.extend_from_slice(&time[..19]);
        out.extend_from_slice(b".000Z\",\"aws\":{\"cloudtrail\":{");
        if let Some(fields) = &who.fields {
            member_of(&mut out, "user_identity", fields);
        }
        members_of(&mut out, &call.0);
        for (name, field) in [
            ("request_id", event.request_id),
            ("error_message", event.error_message),
            ("shared_event_id", event.shared_event_id),
        ] {
            text_member(&mut out, name, copied(field)?);
        }
        add_parts(&mut out, &parts);
        if !resources.is_empty() {
            member_of(&mut out, "resources", &resources);
        }
        out.push(b'}');
        if !stored.is_empty() {
            member_of(&mut out, "s3", stored);
        }
        members_of(&mut out, extra.0);
        members_of(&mut out, &call.4);
        out.push(b'}');

        let mut entities: Vec<&[u8]> = Vec::with_capacity(16);
        who.entities.iter().for_each(|entity| once(&mut entities, entity));
        arns.iter().for_each(|arn| once(&mut entities, arn));
        let mut targets: Vec<&[u8]> = Vec::new();
        if let Some(paths) = self.known.paths(service) {
            let account = plain(event.recipient_account_id)?;
            let mut found = Vec::new();
            named(&paths.related, &parts, account, &arns, &mut found)?;
            if let Some(wanted) = paths.targets.get(name) {
                named(wanted, &parts, account, &arns, &mut targets)?;
            }
            for name in found.iter().chain(&targets) {
                once(&mut entities, name);
            }
            if entities.len() > MOST_NAMED {
                return None;
            }
        }
        let (address, place) = self.place(py, event)?;
        if let Some(place) = &place {
            member_of(&mut out, "source", &place.0);
        }
        self.add_agent(py, &mut out, event)?;
        out.extend_from_slice(b",\"event\":{");
        members_of(&mut out, &call.1);
        text_member(&mut out, "id", plain(event.event_id)?);
        separate(&mut out);
        out.extend_from_slice(b"\"original\":\"");
        json::escape(raw, &mut out);
        out.extend_from_slice(b"\"},\"cloud\":{");
        members_of(&mut out, &call.2);
        if let Some(place) = place.filter(|place| !place.2.is_empty()) {
            member_of(&mut out, "origin", &place.2);
        }
        out.push(b'}');
        members_of(&mut out, &call.3);
        self.add_actors(&mut out, &who, name, &people, &extra, targets)?;
        add_related(&mut out, address, &entities, &who, &people, &extra);
        if let Some(tls) = event.tls_details {
            if has_unicode_escape(tls) {
                return None;
            }
            let made = self.connections.get(py, tls, tls)?;
            if !made.is_empty() {
                member_of(&mut out, "tls", &made);
            }
        }
        out.push(b'}');
        Some((time_ms, out))
    }

    fn who(&self, py: Python<'_>, event: &Record<'_>) -> Option<Arc<Identity>> {
        let data = event.user_identity.unwrap_or(b"");
        if data.len() > 4_096 {
            return None;
        }
        self.identities.get(py, data, data)
    }

    /// What is equal in all records of one kind; the key is all that it is made of.
    fn call(&self, py: Python<'_>, raw: &[u8], event: &Record<'_>, who: &Identity) -> Option<Arc<Call>> {
        let mut key = Vec::with_capacity(256);
        for field in [
            event.event_name,
            event.event_source,
            event.event_version,
            event.event_type,
            event.event_category,
            event.recipient_account_id,
            event.aws_region,
            event.read_only,
            event.management_event,
            event.error_code,
            event.api_version,
            event.vpc_endpoint_id,
            event.vpc_endpoint_account_id,
            event.session_credential_from_console,
        ] {
            key.extend_from_slice(field.unwrap_or(b"null"));
            key.push(b',');
        }
        key.push(b'0' + u8::from(!copied(event.error_message)?.is_empty()));
        key.extend_from_slice(&who.account);
        if key.len() > 2_048 {
            return None;
        }
        self.calls.get(py, &key, raw)
    }

    /// What is known of the source's address, and the address itself where it is one of IP.
    fn place<'a>(&self, py: Python<'_>, event: &Record<'a>) -> Option<(&'a [u8], Option<Arc<Place>>)> {
        let address = plain(event.source_address)?;
        if matches!(address, b"" | b"-" | b"none") {
            return Some((b"", None));
        }
        if address.len() > 1_024 {
            return None;
        }
        let place = self.places.get(py, address, address)?;
        Some((if place.1 { address } else { b"" }, Some(place)))
    }

    fn add_agent(&self, py: Python<'_>, out: &mut Vec<u8>, event: &Record<'_>) -> Option<()> {
        let Some(agent) = event.user_agent.filter(|agent| agent[0] == b'"') else { return Some(()) };
        if matches!(&agent[1..agent.len() - 1], b"" | b"-" | b"none") {
            return Some(());
        }
        if agent.len() > 1_024 || has_unicode_escape(agent) {
            return None;
        }
        let made = self.agents.get(py, agent, agent)?;
        member_of(out, "user_agent", &made);
        Some(())
    }

    /// Add who acted on whom: `actor`, `target`, and both by what they are.
    fn add_actors(
        &self,
        out: &mut Vec<u8>,
        who: &Identity,
        event_name: &[u8],
        people: &People<'_>,
        extra: &Extra<'_>,
        mut targets: Vec<&[u8]>,
    ) -> Option<()> {
        let mut actor = who.actor.as_deref();
        let mut acting = match &who.acting {
            Some(name) => Some(Kind::named(name)?),
            None => None,
        };
        let mut own = true; // the actor is the identity's own, which is in its `user` already
        if event_name == b"AssumeRole" {
            if let Some(service) = who.service.as_deref() {
                (actor, acting, own) = (Some(service), Some(Kind::Service), false);
            } else if let Some(role) = who.assumed.as_deref() {
                (actor, own) = (Some(role), false);
            }
        }
        targets.sort_unstable();
        targets.dedup();
        if !targets.is_empty() {
            out.extend_from_slice(b",\"target\":{\"entity\":{\"id\":");
            list(out, &targets);
            out.extend_from_slice(b"}}");
        }
        if let Some(actor) = actor {
            out.extend_from_slice(b",\"actor\":{\"entity\":{\"id\":");
            list(out, &[actor]);
            out.extend_from_slice(b"}}");
        }
        let of = |kind: Kind| -> Vec<&[u8]> {
            targets.iter().copied().filter(|target| self.known.kind(target) == kind).collect()
        };
        let acts_as = |kind: Kind| if acting == Some(kind) { actor } else { None };
        for (name, kind) in [("host", Kind::Host), ("service", Kind::Service)] {
            let (some, actor) = (of(kind), acts_as(kind));
            let service = who.service.as_deref().filter(|_| kind == Kind::Service);
            if some.is_empty() && actor.is_none() && service.is_none() {
                continue;
            }
            open(out, name);
            if !some.is_empty() {
                open(out, "target");
                ids(out, &some);
                out.push(b'}');
            }
            if let Some(actor) = actor {
                ids(out, &[actor]);
            }
            text_member(out, "name", service.unwrap_or(b""));
            out.push(b'}');
        }
        let (some, actor) = (of(Kind::Entity), acts_as(Kind::Entity));
        if !some.is_empty() || actor.is_some() {
            open(out, "entity");
            if !some.is_empty() {
                open(out, "target");
                separate(out);
                out.extend_from_slice(b"\"id\":");
                list(out, &some);
                out.push(b'}');
            }
            if let Some(actor) = actor {
                separate(out);
                out.extend_from_slice(b"\"id\":");
                list(out, &[actor]);
            }
            out.push(b'}');
        }
        let entity = acts_as(Kind::User).filter(|_| !own);
        add_user(out, who, people, &of(Kind::User), entity, extra.1);
        Some(())
    }
}

/// Whether a record may state its outcome elsewhere than in its error fields; wrong only in saying yes.
fn may_state_outcome(event: &Record<'_>, parts: &Parts<'_>, name: &[u8]) -> Option<bool> {
    let kind = plain(event.event_type)?;
    if matches!(kind, b"AwsConsoleSignIn" | b"AwsServiceEvent") && (parts.response.is_some() || parts.details.is_some()) {
        return Some(true);
    }
    let answers = [&parts.response, &parts.details, &parts.additional];
    Some(answers.into_iter().flatten().any(|part| part.member(name).is_some()))
}

/// Whether JSON has an escape that may be half of a surrogate pair, or hide what a text says.
fn has_unicode_escape(data: &[u8]) -> bool {
    memchr::memmem::find(data, b"\\u").is_some()
}
