"""How often each API key may call, over all processes of all services.

A key with a limit of 600 calls per minute has 600 slots, each used at most once in any 60 seconds. Billing leases slots
to processes for a second ahead; a process admits calls from memory and reports what it used with its next request.

`limiter` admits calls and is the middleware, `client` asks billing, `protocol` is what both sides say to each other,
`slots` is what a process holds of one key. `allowance` stands apart: a limit of one process on its own work.

Why slots and not windows or buckets: docs/decisions/0005-calls-are-leased-slots.md.
"""
