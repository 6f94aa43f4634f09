"""AWS records as Splunk HEC envelopes, as the Splunk Add-on for AWS expects them."""
