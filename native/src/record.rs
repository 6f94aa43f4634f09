//! A CloudTrail record's own fields, as slices of its bytes.

use crate::json;
use crate::keys::{self, Keys};

/// The fields that documents need; each the value's own bytes, strings with their quotes.
#[derive(Default)]
pub struct Record<'a> {
    pub event_version: Option<&'a [u8]>,
    pub user_identity: Option<&'a [u8]>,
    pub event_time: Option<&'a [u8]>,
    pub event_source: Option<&'a [u8]>,
    pub event_name: Option<&'a [u8]>,
    pub aws_region: Option<&'a [u8]>,
    pub source_address: Option<&'a [u8]>,
    pub user_agent: Option<&'a [u8]>,
    pub error_code: Option<&'a [u8]>,
    pub error_message: Option<&'a [u8]>,
    pub request_parameters: Option<&'a [u8]>,
    pub response_elements: Option<&'a [u8]>,
    pub additional_event_data: Option<&'a [u8]>,
    pub service_event_details: Option<&'a [u8]>,
    pub request_id: Option<&'a [u8]>,
    pub event_id: Option<&'a [u8]>,
    pub read_only: Option<&'a [u8]>,
    pub resources: Option<&'a [u8]>,
    pub event_type: Option<&'a [u8]>,
    pub management_event: Option<&'a [u8]>,
    pub recipient_account_id: Option<&'a [u8]>,
    pub event_category: Option<&'a [u8]>,
    pub tls_details: Option<&'a [u8]>,
    pub session_credential_from_console: Option<&'a [u8]>,
    pub api_version: Option<&'a [u8]>,
    pub shared_event_id: Option<&'a [u8]>,
    pub vpc_endpoint_id: Option<&'a [u8]>,
    pub vpc_endpoint_account_id: Option<&'a [u8]>,
}

/// What a field may hold.
enum Holds {
    Text,
    TextOrFlag,
    Anything,
}

impl<'a> Record<'a> {
    /// Take a record apart. None: it is not JSON, or not one of the usual kind, and not for this code.
    pub fn parsed(data: &'a [u8]) -> Option<Record<'a>> {
        if data.first() != Some(&b'{') || std::str::from_utf8(data).is_err() {
            return None;
        }
        let mut record = Record::default();
        let mut seen = Keys::new();
        let mut place = seen.enter();
        let end = json::members(data, 0, |(name, key), at| {
            if !seen.add(&mut place, (name, key)) {
                return None;
            }
            let end = keys::value(data, at, &mut seen)?;
            record.keep(name, &data[at..end])?;
            Some(end)
        })?;
        (json::skip_space(data, end) == data.len()).then_some(record)
    }

    fn keep(&mut self, name: &[u8], value: &'a [u8]) -> Option<()> {
        use Holds::{Anything, Text, TextOrFlag};
        let (place, holds) = match name {
            b"eventVersion" => (&mut self.event_version, Text),
            b"userIdentity" => (&mut self.user_identity, Anything),
            b"eventTime" => (&mut self.event_time, Text),
            b"eventSource" => (&mut self.event_source, Text),
            b"eventName" => (&mut self.event_name, Text),
            b"awsRegion" => (&mut self.aws_region, Text),
            b"sourceIPAddress" => (&mut self.source_address, Text),
            b"userAgent" => (&mut self.user_agent, Text),
            b"errorCode" => (&mut self.error_code, Text),
            b"errorMessage" => (&mut self.error_message, Text),
            b"requestParameters" => (&mut self.request_parameters, Anything),
            b"responseElements" => (&mut self.response_elements, Anything),
            b"additionalEventData" => (&mut self.additional_event_data, Anything),
            b"serviceEventDetails" => (&mut self.service_event_details, Anything),
            b"requestID" => (&mut self.request_id, Text),
            b"eventID" => (&mut self.event_id, Text),
            b"readOnly" => (&mut self.read_only, TextOrFlag),
            b"resources" => (&mut self.resources, Anything),
            b"eventType" => (&mut self.event_type, Text),
            b"managementEvent" => (&mut self.management_event, TextOrFlag),
            b"recipientAccountId" => (&mut self.recipient_account_id, Text),
            b"eventCategory" => (&mut self.event_category, Text),
            b"tlsDetails" => (&mut self.tls_details, Anything),
            b"sessionCredentialFromConsole" => (&mut self.session_credential_from_console, TextOrFlag),
            b"apiVersion" => (&mut self.api_version, Text),
            b"sharedEventID" => (&mut self.shared_event_id, Text),
            b"vpcEndpointId" => (&mut self.vpc_endpoint_id, Text),
            b"vpcEndpointAccountId" => (&mut self.vpc_endpoint_account_id, Text),
            // Records that are not of the usual kind.
            b"insightDetails" | b"addendum" | b"edgeDeviceDetails" | b"digestS3Object" | b"@timestamp" => return None,
            _ => return Some(()),
        };
        let suits = match (holds, value[0]) {
            (Anything, _) | (_, b'n' | b'"') => true,
            (TextOrFlag, first) => matches!(first, b't' | b'f'),
            (Text, _) => false,
        };
        if !suits || place.is_some() {
            return None;
        }
        *place = Some(value);
        Some(())
    }
}

/// What stands between the quotes of a field; b"" where it is absent or null. None: with an escape, not for this code.
pub fn plain<'a>(field: Option<&'a [u8]>) -> Option<&'a [u8]> {
    match field {
        Some(data) if data[0] == b'"' => {
            let content = &data[1..data.len() - 1];
            memchr::memchr(b'\\', content).is_none().then_some(content)
        }
        _ => Some(b""),
    }
}

/// The same for a field that goes into the document as it stands, and may have escapes that are no half pairs.
pub fn copied<'a>(field: Option<&'a [u8]>) -> Option<&'a [u8]> {
    match field {
        Some(data) if data[0] == b'"' => {
            let content = &data[1..data.len() - 1];
            memchr::memmem::find(content, b"\\u").is_none().then_some(content)
        }
        _ => Some(b""),
    }
}
