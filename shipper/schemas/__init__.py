"""What a SIEM expects of a record: Elastic Common Schema and Splunk's conventions."""
