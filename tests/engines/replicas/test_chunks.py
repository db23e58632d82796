from itertools import islice

from lidr.engines.engine import ChatRequest, Completion, Failure
from lidr.engines.replicas.chunks import Chunk, Chunks
from tests.engines.helpers import ask


def requests(count: int) -> list[ChatRequest]:
    return [ask(f"k{number}") for number in range(count)]


def answer(chunk: Chunk, name: str) -> Completion | Failure | None:
    return chunk.settle(Completion(name, "a", "stop", 1, 1))


def take_all(chunks: Chunks, *, replicas: int) -> list[int]:
    sizes = []
    while (chunk := chunks.take(replicas=replicas, is_idle=True)) is not None:
        sizes.append(len(chunk.waiting))
    return sizes


def test_chunks_are_large_while_there_is_much_and_small_at_the_end() -> None:
    sizes = take_all(Chunks(requests(1000), largest=100, smallest=4), replicas=2)
    assert sum(sizes) == 1000
    assert sizes[:6] == [100] * 6
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[-1] <= 4


def test_few_requests_are_shared_by_all() -> None:
    assert len(take_all(Chunks(requests(32), largest=256, smallest=1), replicas=8)) >= 16


def test_the_stream_is_not_read_far_ahead() -> None:
    read = []
    stream = (read.append(one) or one for one in requests(10_000))  # type: ignore[func-returns-value]
    chunks = Chunks(stream, largest=50)
    for _ in range(3):
        chunks.take(replicas=2, is_idle=True)
    assert len(read) <= 3 * 50 + 2 * 2 * 50


def test_answers_get_their_own_keys_once_and_equal_keys_stay_apart() -> None:
    chunk = Chunks([ask("same"), ask("same")], largest=50, smallest=2).take(replicas=1, is_idle=True)
    assert chunk is not None
    names = [request.key for request in chunk.load()]
    settled = [answer(chunk, name) for name in (*names, names[0])]
    assert [one and one.key for one in settled] == ["same", "same", None]


def test_what_a_lost_node_leaves_is_handed_out_again_without_blame() -> None:
    chunks = Chunks(requests(10), largest=50, smallest=5)
    chunk = chunks.take(replicas=1, is_idle=True)
    assert chunk is not None
    first = next(iter(chunk.waiting))
    answer(chunk, first)
    for _ in range(5):
        assert list(chunks.give_back(chunk, is_blamed=False)) == []
        again = chunks.take(replicas=1, is_idle=False)
        assert again is chunk
    assert (len(chunk.waiting), chunk.deaths) == (4, 0)


def test_a_chunk_over_which_a_replica_died_travels_alone() -> None:
    chunks = Chunks(requests(200), largest=50)
    chunk = chunks.take(replicas=1, is_idle=True)
    assert chunk is not None
    assert list(chunks.give_back(chunk, is_blamed=True)) == []
    assert chunks.take(replicas=1, is_idle=False) is None
    assert chunks.take(replicas=1, is_idle=True) is chunk
    assert chunks.take(replicas=1, is_idle=False) is not None


def test_a_request_that_kills_is_found_by_halves_and_alone_given_up() -> None:
    """Whoever holds k70 dies; all others are answered, and no more replicas die than it takes to find it."""
    chunks = Chunks(requests(100), largest=100, smallest=100)
    answered: list[str] = []
    failed: list[Failure] = []
    deaths = 0
    while (chunk := chunks.take(replicas=1, is_idle=True)) is not None:
        killer = any(request.key == "k70" for request in chunk.waiting.values())
        if killer:
            deaths += 1
            failed += chunks.give_back(chunk, is_blamed=True, why="killed by signal 9")
            continue
        answered += [one.key for name in [*chunk.waiting] if (one := answer(chunk, name)) is not None]
    assert sorted([*answered, *(one.key for one in failed)]) == sorted(f"k{number}" for number in range(100))
    assert [(one.key, one.error) for one in failed] == [
        ("k70", "3 replicas died while they answered it: killed by signal 9")
    ]
    assert deaths <= 3 + 7
    assert chunks.is_empty


def test_whether_anything_is_left_is_known_before_it_is_taken() -> None:
    chunks = Chunks(iter(requests(1)), largest=50)
    assert not chunks.is_empty
    assert len(list(islice(iter(lambda: chunks.take(replicas=1, is_idle=True), None), 5))) == 1
    assert chunks.is_empty
