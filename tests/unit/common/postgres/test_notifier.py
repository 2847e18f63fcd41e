from collections.abc import Collection

from services.common.postgres.notifier import PAYLOAD_BYTES_MAX, WORDS_MAX, Notifier, payloads


def test_a_word_is_heard_at_once_in_its_own_process() -> None:
    notifier = Notifier((), topics=("moved",))
    heard: list[Collection[str]] = []
    notifier.subscribe("moved", heard.append)

    notifier.publish("moved", "job_1")

    assert [list(words) for words in heard] == [["job_1"]]


def test_words_for_others_are_kept_once_each_and_only_so_many() -> None:
    notifier = Notifier((), topics=("moved",))
    for number in [*range(WORDS_MAX + 1), 0]:
        notifier.publish("moved", f"job_{number}")

    told = [word for _, payload in notifier.take_due() for word in payload.split()]

    assert len(told) == len(set(told)) == WORDS_MAX
    assert notifier.take_due() == []


def test_payloads_hold_every_word_and_none_is_too_long() -> None:
    words = [f"job_{number:026d}" for number in range(1_000)]

    made = list(payloads(words))

    assert " ".join(made).split() == words
    assert all(len(payload.encode()) <= PAYLOAD_BYTES_MAX for payload in made)
    assert len(made) == 4
