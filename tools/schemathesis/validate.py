"""Is a text on standard input an OpenAPI 3.1 document, by the schema that the OpenAPI Initiative publishes?"""

import json
import sys

from openapi_schema_validator import oas31_format_checker
from openapi_spec_validator import OpenAPIV31SpecValidator

# Patterns are ECMA-262's (JSON Schema, section 6.4), and Python's know no \p{L}.
oas31_format_checker.checkers.pop("regex", None)

for error in OpenAPIV31SpecValidator(json.load(sys.stdin)).iter_errors():
    sys.exit(f"{list(error.path)}: {error.message}")
