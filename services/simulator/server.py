import socket
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from aiohttp import web

from services.common.egress.policy import UrlPolicy
from services.common.egress.session import open_egress_session
from services.media.file_host import file_host
from services.media.limits import MediaLimits
from services.media.prober import REFERENCE_COMMAND, Prober
from services.media.signed_addresses import AddressSigner
from services.media.upload_host import UploadHost
from services.simulator.announcer import Announcer
from services.simulator.answers import guard, show_request_id
from services.simulator.api import TasksApi
from services.simulator.engine import Engine
from services.simulator.media import MediaHost
from services.simulator.settings import SimulatorSettings
from services.simulator.studio import Studio
from services.simulator.tasks import Tasks
from services.simulator.wire import Links

STATE_PATH: Final = "/_control/state"
BODY_BYTES_MAX: Final = 64 * 2**20
OUTGOING_CONNECTIONS_MAX: Final = 100
LAST_ANSWERS_SECONDS: Final = 1.0


@dataclass(frozen=True, kw_only=True)
class RunningSimulator:
    """Where a started simulator is reached, and what it has done so far."""

    url: str
    counts: Counter[str]


@asynccontextmanager
async def serve_simulator(
    settings: SimulatorSettings, *, clock: Callable[[], float] = time.time
) -> AsyncIterator[RunningSimulator]:
    """Serves until the context ends, then stops within three seconds.

    Unfinished tasks stay in the folder; the next simulator on the same folder finishes them.
    """
    async with AsyncExitStack() as stack:
        listener = stack.enter_context(socket.create_server((settings.host, settings.port)))
        url = f"http://{settings.host}:{listener.getsockname()[1]}"
        counts: Counter[str] = Counter()
        folder = settings.folder or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder.mkdir(parents=True, exist_ok=True)
        tasks = Tasks(folder, count_max=settings.tasks_max, clock=clock)
        stack.callback(tasks.close)
        secret = settings.api_key.get_secret_value()
        links = Links((settings.public_url or url).rstrip("/"), secret=secret)
        policy = UrlPolicy(private_targets_allowed=settings.private_targets_allowed)
        session = await stack.enter_async_context(
            open_egress_session(policy, connections_max=OUTGOING_CONNECTIONS_MAX, reads_encoded=True)
        )
        images = await stack.enter_async_context(
            open_egress_session(policy, connections_max=OUTGOING_CONNECTIONS_MAX)
        )
        studio = Studio(folder, session=images, workers=settings.render_workers)
        stack.push_async_callback(studio.close)
        announcer = Announcer(session, links, counts)
        stack.push_async_callback(announcer.close)
        engine = Engine(settings, tasks=tasks, studio=studio, announcer=announcer, clock=clock)
        stack.push_async_callback(engine.close)
        for task in tasks.load():
            engine.start(task)
        api = TasksApi(
            tasks=tasks,
            engine=engine,
            links=links,
            counts=counts,
            clock=clock,
            creates_per_minute_max=settings.creates_per_minute_max,
        )
        media = MediaHost(folder, tasks=tasks, links=links, counts=counts, clock=clock)
        app = web.Application(middlewares=[guard(secret)], client_max_size=BODY_BYTES_MAX)
        app.on_response_prepare.append(show_request_id)
        app.add_routes([*api.routes(), *media.routes(), _state_route(counts, tasks)])
        await stack.enter_async_context(_serving(app, listener))
        await stack.enter_async_context(_serving_media(settings))
        yield RunningSimulator(url=url, counts=counts)


@asynccontextmanager
async def _serving(app: web.Application, listener: socket.socket) -> AsyncIterator[None]:
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=LAST_ANSWERS_SECONDS)
    await runner.setup()
    try:
        await web.SockSite(runner, listener).start()
        yield
    finally:
        await runner.cleanup()


@asynccontextmanager
async def _serving_media(settings: SimulatorSettings) -> AsyncIterator[None]:
    # On its own port, so that media clients cannot reach the provider API.
    if settings.media_folder is None:
        yield
        return
    async with AsyncExitStack() as stack:
        listener = stack.enter_context(socket.create_server((settings.host, settings.media_port)))
        uploads = signer = None
        if settings.media_url_secret is not None:
            prober = Prober(limits=MediaLimits(), processes_max=1, command=REFERENCE_COMMAND)
            await stack.enter_async_context(prober.running())
            signer = AddressSigner(secret=settings.media_url_secret.get_secret_value())
            uploads = UploadHost(folder=settings.media_folder, signer=signer, prober=prober)
        host = file_host(settings.media_folder, uploads, signer=signer if settings.media_signed else None)
        await stack.enter_async_context(_serving(host, listener))
        yield


def _state_route(counts: Counter[str], tasks: Tasks) -> web.RouteDef:
    async def state(_: web.Request) -> web.Response:
        return web.json_response({"counts": counts, "tasks": tasks.count_by_status()})

    return web.get(STATE_PATH, state)
