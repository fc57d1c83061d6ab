"""To be imported before nbformat.

Where ``rfc3987_syntax`` is installed, jsonschema (nbformat brings it) parses a grammar of web addresses for seconds in
each process, and no notebook has such a field.
"""

from __future__ import annotations

import sys

sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]
