"""`python -m shipper.config` writes the settings' JSON Schema."""

import sys

from shipper.config import schema_text

sys.stdout.write(schema_text())
