from collections.abc import Mapping, Sequence
from typing import Any, Final

from pydantic import BaseModel, ConfigDict

from services.simulator.content import Medium, is_web_address, mode_of, parse_content
from services.simulator.errors import ApiError, invalid, missing
from services.simulator.scenarios import FLAWLESS, SCENARIO_BY_DIRECTIVE, Ending, Scenario, scenario_of
from services.simulator.sizes import RESOLUTIONS, SIZES

# ModelArk documentation 1520757: resolutions by model of Seedance 2.0, outside and inside China.
MODELS: Final[Mapping[str, Sequence[str]]] = {
    f"{prefix}-{name}": resolutions
    for prefix in ("dreamina", "doubao")
    for name, resolutions in (
        ("seedance-2-0-260128", RESOLUTIONS),
        ("seedance-2-0-fast-260128", RESOLUTIONS[:2]),
        ("seedance-2-0-mini-260615", RESOLUTIONS[:2]),
    )
}
ADAPTIVE: Final = "adaptive"
RATIOS: Final = (*SIZES, ADAPTIVE)
DURATION_SECONDS: Final = range(4, 16)
DURATION_DEFAULT_SECONDS: Final = 5
DURATION_LEFT_TO_THE_MODEL: Final = -1
SEED_LIMIT: Final = 2**31
SEED_RANDOM: Final = -1
EXPIRES_AFTER_SECONDS: Final = range(3_600, 259_201)
EXPIRES_AFTER_DEFAULT_SECONDS: Final = 172_800
SAFETY_IDENTIFIER_LENGTH_MAX: Final = 64
SERVICE_TIER: Final = "default"


class Order(BaseModel):
    """A create request with every default filled in."""

    model_config = ConfigDict(frozen=True)

    model: str
    prompt: str
    media: tuple[Medium, ...]
    resolution: str
    ratio: str
    duration_seconds: int
    seed: int
    generate_audio: bool
    watermark: bool
    return_last_frame: bool
    callback_url: str | None
    safety_identifier: str | None
    expires_after_seconds: int
    priority: int
    directive: str
    directive_number: int

    @property
    def scenario(self) -> Scenario:
        """What the prompt asks the simulator to do."""
        return SCENARIO_BY_DIRECTIVE.get(self.directive, FLAWLESS)

    @property
    def video_seconds(self) -> int:
        """How long its video becomes: in one scenario half of what is asked for."""
        return self.duration_seconds // (2 if self.scenario.ending is Ending.SUCCEEDS_SHORT else 1)


def parse_order(body: Any) -> Order:
    """A create request, checked. Raises ApiError naming the first parameter that is wrong."""
    if not isinstance(body, dict):
        raise invalid("", "the request body must be a JSON object.")
    model = _model(body)
    prompt, media = parse_content(body)
    scenario, number = scenario_of(prompt)
    fields = _Fields(body, place=f"for model {model.rpartition('-')[0]} in {mode_of(media)}")
    fields.choice("service_tier", (SERVICE_TIER,), default=SERVICE_TIER)
    return Order(
        model=model,
        prompt=prompt,
        media=media,
        resolution=fields.choice("resolution", MODELS[model], default="720p"),
        ratio=fields.choice("ratio", RATIOS, default=ADAPTIVE),
        duration_seconds=_duration_seconds(fields),
        seed=fields.whole("seed", range(SEED_RANDOM, SEED_LIMIT), default=SEED_RANDOM),
        generate_audio=fields.flag("generate_audio", default=True),
        watermark=fields.flag("watermark", default=False),
        return_last_frame=fields.flag("return_last_frame", default=False),
        callback_url=_callback_url(fields),
        safety_identifier=fields.text("safety_identifier", length_max=SAFETY_IDENTIFIER_LENGTH_MAX),
        expires_after_seconds=fields.whole(
            "execution_expires_after", EXPIRES_AFTER_SECONDS, default=EXPIRES_AFTER_DEFAULT_SECONDS
        ),
        priority=fields.whole("priority", range(10), default=0),
        directive=scenario.directive,
        directive_number=number,
    )


class _Fields:
    """Reads the parameters beside model and content; null counts as absent."""

    def __init__(self, body: dict[str, Any], *, place: str) -> None:
        self._body = body
        self._place = place

    def refusal(self, name: str) -> ApiError:
        return invalid(name, f"the parameter {name} specified in the request is not valid {self._place}.")

    def choice(self, name: str, allowed: Sequence[str], *, default: str) -> str:
        value = self._value(name, default)
        if not isinstance(value, str) or value not in allowed:
            raise self.refusal(name)
        return value

    def whole(self, name: str, allowed: range, *, default: int) -> int:
        value = self._value(name, default)
        if not isinstance(value, int) or isinstance(value, bool) or value not in allowed:
            raise self.refusal(name)
        return value

    def flag(self, name: str, *, default: bool) -> bool:
        value = self._value(name, default)
        if not isinstance(value, bool):
            raise self.refusal(name)
        return value

    def text(self, name: str, *, length_max: int) -> str | None:
        value = self._body.get(name)
        if value is not None and (not isinstance(value, str) or not 0 < len(value) <= length_max):
            raise self.refusal(name)
        return value

    def _value(self, name: str, default: Any) -> Any:
        value = self._body.get(name)
        return default if value is None else value


def _model(body: dict[str, Any]) -> str:
    model = body.get("model")
    if not model:
        raise missing("model")
    if not isinstance(model, str) or model not in MODELS:
        message = f"The model or endpoint {model} does not exist or you do not have access to it."
        raise ApiError(404, "InvalidEndpointOrModel.NotFound", message, parameter="model")
    return model


def _duration_seconds(fields: _Fields) -> int:
    allowed = range(DURATION_LEFT_TO_THE_MODEL, DURATION_SECONDS.stop)
    seconds = fields.whole("duration", allowed, default=DURATION_DEFAULT_SECONDS)
    if seconds == DURATION_LEFT_TO_THE_MODEL:
        return DURATION_DEFAULT_SECONDS
    if seconds not in DURATION_SECONDS:
        raise fields.refusal("duration")
    return seconds


def _callback_url(fields: _Fields) -> str | None:
    url = fields.text("callback_url", length_max=2_048)
    if url is not None and not is_web_address(url):
        raise fields.refusal("callback_url")
    return url
