"""A request with an idempotency key runs once, however often it is sent.

`interceptor` is the middleware, `store` keeps keys and answers, `reservation` names in advance what the request makes.

Why the name comes before the work: docs/decisions/0006-names-are-reserved-before-the-work.md.
"""
