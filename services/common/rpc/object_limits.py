"""How large a free-form object (a `Struct`) may be. Numbers only: the edge keeps some of them too."""

OBJECT_JSON_BYTES_MAX = 16 * 1024
"""As JSON. Code that turns an object into JSON checks it to the byte."""
OBJECT_VALUES_MAX = 2_000
"""Members and list items at all levels."""
OBJECT_BYTES_MAX = OBJECT_JSON_BYTES_MAX + 16 * OBJECT_VALUES_MAX
"""Of the same as a message, which spends up to 16 bytes more than JSON on a value."""
OBJECT_LEVELS_MAX = 5
