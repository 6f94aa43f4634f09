"""Where documents are delivered: one file per kind of server."""
