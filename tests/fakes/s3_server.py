"""A bucket that speaks S3 over HTTP and lets nobody in whose signature it cannot make itself, by AWS's description of it."""

import hashlib
import hmac
import html
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Self
from urllib.parse import parse_qsl, quote, unquote

from aiohttp import web

from services.common.clock import utc_now

SCHEME = "AWS4-HMAC-SHA256"
UNSIGNED = "UNSIGNED-PAYLOAD"
MOMENT = "%Y%m%dT%H%M%SZ"


@dataclass(frozen=True, kw_only=True)
class Signed:
    """What a signature is made of."""

    method: str
    path: str
    """As it was sent."""
    query: Mapping[str, str]
    headers: Mapping[str, str]
    """By lower-case name: those that are signed."""
    payload: str
    """The hash of the content, or what stands for it."""
    at: str
    scope: str
    """`day/region/s3/aws4_request`."""

    def signature(self, secret: str) -> str:
        key = f"AWS4{secret}".encode()
        for part in self.scope.split("/"):
            key = hmac.digest(key, part.encode(), "sha256")
        digest = hashlib.sha256(self._request().encode()).hexdigest()
        return hmac.digest(key, f"{SCHEME}\n{self.at}\n{self.scope}\n{digest}".encode(), "sha256").hex()

    def _request(self) -> str:
        query = "&".join(
            f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in sorted(self.query.items())
        )
        headers = "".join(f"{name}:{value.strip()}\n" for name, value in sorted(self.headers.items()))
        names = ";".join(sorted(self.headers))
        return f"{self.method}\n{self.path}\n{query}\n{headers}\n{names}\n{self.payload}"


@dataclass
class S3Server:
    """Keeps objects by `/bucket/key`."""

    key_id: str = "AKIDEXAMPLE"
    secret: str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
    ahead: timedelta = timedelta()
    """How far its clock is ahead."""
    objects: dict[str, tuple[bytes, str]] = field(default_factory=dict)
    """Content and type."""
    endpoint: str = ""
    _runner: web.ServerRunner | None = None

    async def __aenter__(self) -> Self:
        self._runner = web.ServerRunner(web.Server(self._serve))
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.endpoint = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._runner is not None
        await self._runner.cleanup()

    @property
    def environment(self) -> dict[str, str]:
        """What leads a client here."""
        return {
            "AWS_ENDPOINT": self.endpoint,
            "AWS_ALLOW_HTTP": "true",
            "AWS_REGION": "eu-central-1",
            "AWS_ACCESS_KEY_ID": self.key_id,
            "AWS_SECRET_ACCESS_KEY": self.secret,
        }

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        body = await request.read()
        if (why := self._refusal(request, body)) is not None:
            return web.Response(status=403, text=f"<Error><Code>{why}</Code></Error>")
        name = unquote(request.path)
        match request.method:
            case "PUT" if source := request.headers.get("x-amz-copy-source"):
                return self._copied(unquote(f"/{source.lstrip('/')}"), name)
            case "PUT":
                self.objects[name] = (body, request.headers.get("Content-Type", ""))
                return web.Response(headers={"ETag": _etag(body)})
            case "POST" if "delete" in request.query:
                return self._deleted(name.rstrip("/"), body.decode())
            case "GET" | "HEAD":
                return self._shown(name)
        return web.Response(status=405)

    def _deleted(self, bucket: str, wanted: str) -> web.Response:
        keys = re.findall(r"<Key>(.*?)</Key>", wanted)
        for key in keys:
            self.objects.pop(f"{bucket}/{html.unescape(key)}", None)
        told = "".join(f"<Deleted><Key>{key}</Key></Deleted>" for key in keys)
        return web.Response(text=f"<DeleteResult>{told}</DeleteResult>", content_type="application/xml")

    def _copied(self, source: str, name: str) -> web.Response:
        if source not in self.objects:
            return _missing()
        self.objects[name] = self.objects[source]
        text = f"<CopyObjectResult><ETag>{_etag(self.objects[name][0])}</ETag></CopyObjectResult>"
        return web.Response(text=text, content_type="application/xml")

    def _shown(self, name: str) -> web.Response:
        if name not in self.objects:
            return _missing()
        content, kind = self.objects[name]
        headers = {
            "Content-Type": kind or "binary/octet-stream",
            "ETag": _etag(content),
            "Last-Modified": "Sat, 28 Nov 2026 20:00:00 GMT",
        }
        return web.Response(body=content, headers=headers)

    def _refusal(self, request: web.BaseRequest, body: bytes) -> str | None:
        """Returns why a request may not come in, in S3's words."""
        query = dict(parse_qsl(request.rel_url.raw_query_string, keep_blank_values=True))
        if "X-Amz-Signature" in query:
            return self._refusal_of_address(request, query)
        scheme, _, said = request.headers.get("Authorization", "").partition(" ")
        parts = dict(part.strip().split("=", 1) for part in said.split(",") if "=" in part)
        if scheme != SCHEME:
            return "AccessDenied"
        payload = request.headers["x-amz-content-sha256"]
        if payload not in {UNSIGNED, hashlib.sha256(body).hexdigest()}:
            return "XAmzContentSHA256Mismatch"
        signed = self._signed(request, query, parts["SignedHeaders"], parts["Credential"], payload)
        return None if self._is_ours(signed, parts["Signature"]) else "SignatureDoesNotMatch"

    def _refusal_of_address(self, request: web.BaseRequest, query: dict[str, str]) -> str | None:
        signature = query.pop("X-Amz-Signature")
        signed = self._signed(
            request, query, query["X-Amz-SignedHeaders"], query["X-Amz-Credential"], UNSIGNED
        )
        if not self._is_ours(signed, signature):
            return "SignatureDoesNotMatch"
        until = datetime.strptime(signed.at, MOMENT).replace(tzinfo=UTC) + timedelta(
            seconds=int(query["X-Amz-Expires"])
        )
        return None if utc_now() + self.ahead <= until else "AccessDenied"

    def _signed(
        self, request: web.BaseRequest, query: dict[str, str], names: str, credential: str, payload: str
    ) -> Signed:
        key_id, _, scope = credential.partition("/")
        assert key_id == self.key_id
        return Signed(
            method=request.method,
            path=request.rel_url.raw_path,
            query=query,
            headers={name: request.headers[name] for name in names.split(";")},
            payload=payload,
            at=query.get("X-Amz-Date") or request.headers["x-amz-date"],
            scope=scope,
        )

    def _is_ours(self, signed: Signed, signature: str) -> bool:
        return hmac.compare_digest(signed.signature(self.secret), signature)


def _missing() -> web.Response:
    return web.Response(
        status=404, text="<Error><Code>NoSuchKey</Code></Error>", content_type="application/xml"
    )


def _etag(content: bytes) -> str:
    return f'"{hashlib.md5(content, usedforsecurity=False).hexdigest()}"'
