"""Where log data is found and read: one file per kind of AWS source."""
