"""The MCP server: it lists the tools, checks their arguments, and says refusals in words that a model can act on.

It keeps nothing between two requests, so any process may answer any of them.
"""

import mimetypes
from collections.abc import Callable, Mapping
from importlib.metadata import version
from typing import Any, Final
from urllib.parse import urlsplit

import mcp_types as types
from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.server.lowlevel.server import Server
from pydantic import BaseModel, ValidationError

from services.common.auth.key_forms import contract_of
from services.mcp.calls import Calls, Refused
from services.mcp.methods import GET_BALANCE
from services.mcp.shapes import Video, schema_of
from services.mcp.tools import TOOLS, Asked, Tool

Context = ServerRequestContext[dict[str, Any], Any]
KeyOf = Callable[[Context], str]
"""Returns the caller's key."""
Told = Callable[[Context, Refused], None]
"""Learns that the caller's key was refused."""

INSTRUCTIONS: Final = (
    "Makes videos from text and images. Look at list_models and estimate_video first: generate_video spends credits."
    " A video takes minutes: call get_video with wait_seconds until it is finished. Keys with `test` in them cost nothing."
)
GREETINGS: Final = frozenset({"initialize", "server/discover"})
"""What a client says first, in either era. Its key is tried then, so that a wrong one is known at once."""
ADVICE: Final[Mapping[str, str]] = {
    "insufficient_credits": "Choose something cheaper, or ask the owner of the key for credits. estimate_video tells prices.",
    "spend_limit_exceeded": "Ask the owner of the key to raise its spend limit, or choose something cheaper.",
    "model_not_found": "list_models tells the names.",
    "task_not_found": "list_videos tells the ids.",
    "not_found": "list_videos tells the ids.",
    "conflict": "get_video tells what has become of it.",
    "idempotency_conflict": "Use another request_id for another video, and the same arguments for the same.",
    "rate_limit_exceeded": "Wait before the next call.",
    "internal_error": "Try again, with the same request_id.",
    "invalid_api_key": "Configure a valid key.",
    "unauthorized": "Configure a valid key.",
}
"""What to change, by code, where the sentence of the refusal does not say it."""


def build_server(calls: Calls, *, key_of: KeyOf, told: Told) -> Server[dict[str, Any]]:
    """Returns the server that calls the API with the key of each request."""

    async def list_tools(context: Context, _: types.PaginatedRequestParams | None) -> types.ListToolsResult:
        of_nextapi = contract_of(key_of(context)) == "nextapi"
        shown = [_described(tool) for tool in TOOLS if tool.for_nextapi or not of_nextapi]
        return types.ListToolsResult(tools=shown, cache_scope="private")

    async def call_tool(context: Context, params: types.CallToolRequestParams) -> types.CallToolResult:
        try:
            tool = _named(params.name)
            given = _checked(tool, params.arguments or {})
            return _shown(await tool.does(Asked(calls, key_of(context)), given))
        except Refused as error:
            if error.of_key:
                told(context, error)
            return types.CallToolResult(content=[_text(_sentence(error))], is_error=True)

    async def key_tried(ctx: Context, call_next: CallNext) -> HandlerResult:
        if ctx.method in GREETINGS:
            try:
                await calls(GET_BALANCE, {}, key=key_of(ctx))
            except Refused as error:
                if error.of_key:
                    told(ctx, error)
        return await call_next(ctx)

    server: Server[dict[str, Any]] = Server(
        "reelgate",
        title="Reelgate",
        version=version("reelgate"),
        instructions=INSTRUCTIONS,
        on_list_tools=list_tools,
        on_call_tool=call_tool,
    )
    # Among those of the SDK is one that makes spans, which nobody collects here.
    server.middleware[:] = [key_tried]
    return server


def _described(tool: Tool) -> types.Tool:
    return types.Tool(
        name=tool.name,
        description=tool.says,
        input_schema=schema_of(tool.takes),
        output_schema=schema_of(tool.answers),
        annotations=_annotations(tool),
    )


def _annotations(tool: Tool) -> types.ToolAnnotations:
    if tool.reads:
        # Of what only reads, clients know the rest.
        return types.ToolAnnotations(read_only_hint=True)
    return types.ToolAnnotations(
        read_only_hint=False, destructive_hint=False, idempotent_hint=tool.repeats, open_world_hint=False
    )


def _named(name: str) -> Tool:
    for tool in TOOLS:
        if tool.name == name:
            return tool
    raise Refused(
        "not_found", f"There is no tool {name[:64]!r}, only {', '.join(tool.name for tool in TOOLS)}."
    )


def _checked(tool: Tool, arguments: Mapping[str, Any]) -> BaseModel:
    try:
        return tool.takes.model_validate(arguments)
    except ValidationError as error:
        problems = [
            f"{'.'.join(str(part) for part in each['loc'])}: {each['msg']}" for each in error.errors()
        ]
        raise Refused("invalid_request", f"{'; '.join(problems)}.") from error


def _sentence(error: Refused) -> str:
    advice = ADVICE.get(error.code, "")
    if error.retry_after_seconds:
        advice = f"Call again in {error.retry_after_seconds} s."
    return f"{error} {advice}".strip()


def _shown(answer: BaseModel) -> types.CallToolResult:
    found = answer.model_dump(exclude_none=True)
    text = _text(answer.model_dump_json(exclude_none=True))
    links = _links(answer) if isinstance(answer, Video) else []
    return types.CallToolResult(content=[text, *links], structured_content=found)


def _text(text: str) -> types.TextContent:
    return types.TextContent(type="text", text=text)


def _links(video: Video) -> list[types.ResourceLink]:
    return [
        types.ResourceLink(type="resource_link", uri=uri, name=f"{video.id} {what}", mime_type=_kind(uri))
        for what, uri in (("video", video.video_url), ("poster", video.poster_url))
        if uri
    ]


def _kind(uri: str) -> str | None:
    return mimetypes.guess_type(urlsplit(uri).path)[0]
