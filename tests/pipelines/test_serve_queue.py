"""The queue: texts of many requests share batches, and share no faults."""

import asyncio
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.serve_queue import BatchQueue, Full


def in_loop(work):
    return asyncio.run(asyncio.wait_for(work(), 30))


def itself(texts, questions):
    return [[{"text": text, "question": asked}] for text, asked in zip(texts, questions or [None] * len(texts), strict=True)]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.lists(st.text(max_size=9), min_size=1, max_size=7), max_size=6), st.integers(1, 5), st.integers(1, 12), st.booleans())
def test_every_request_gets_its_own_answers_in_order(requests, batch, characters, asks):
    sizes = []

    def read(texts, questions):
        sizes.append((len(texts), sum(map(len, texts))))
        return itself(texts, questions)

    async def work():
        queue = BatchQueue(read, batch=batch, most=99, characters=characters)
        await queue.start()
        answers = await asyncio.gather(*(queue.ask(texts, [text * 2 for text in texts] if asks else None) for texts in requests))
        await queue.stop()
        return answers, len(queue), queue.counts

    answers, waiting, counts = in_loop(work)
    assert answers == [itself(texts, [text * 2 for text in texts] if asks else None) for texts in requests] and waiting == 0
    assert counts.texts == sum(map(len, requests)) and counts.requests == len(requests) and counts.batches == len(sizes)
    assert all(count <= batch and (size <= characters or count == 1) for count, size in sizes)


def test_a_bad_text_spoils_no_other():
    def read(given, questions):
        if "毒" in given:
            raise ValueError("no such thing")
        return itself(given, questions)

    async def work():
        queue = BatchQueue(read, batch=8, most=99)
        await queue.start()
        requests = (["甲"], ["子", "毒", "丑"], ["乙"])
        answers = await asyncio.gather(*(queue.ask(texts, None) for texts in requests), return_exceptions=True)
        after = await queue.ask(["丙"], None)
        await queue.stop()
        return answers, after, queue

    answers, after, queue = in_loop(work)
    assert answers[0] == itself(["甲"], None) and answers[2] == itself(["乙"], None) and isinstance(answers[1], ValueError)
    assert after == itself(["丙"], None) and queue.counts.failed == 1 and len(queue) == 0


def test_a_model_that_loses_a_text_is_a_fault_and_no_standstill():
    async def work():
        queue = BatchQueue(lambda given, questions: [], batch=8, most=99)
        await queue.start()
        with pytest.raises(RuntimeError, match="0 answers to 1 texts"):
            await queue.ask(["甲"], None)
        await queue.stop()

    in_loop(work)


def test_a_client_that_goes_is_left_out():
    read_texts = []

    def read(given, questions):
        read_texts.extend(given)
        time.sleep(0.1)
        return [[] for _ in given]

    async def work():
        queue = BatchQueue(read, batch=1, most=3)
        await queue.start()
        first = asyncio.create_task(queue.ask(["一"], None))
        await asyncio.sleep(0.03)
        gone = asyncio.create_task(queue.ask(["二"], None))
        last = asyncio.create_task(queue.ask(["三", "四"], None))
        await asyncio.sleep(0.01)
        with pytest.raises(Full):
            await queue.ask(["五"], None)
        gone.cancel()
        await asyncio.sleep(0)
        assert len(queue) == 2
        assert await first == [[]] and await last == [[], []]
        await queue.stop()
        return queue.counts

    counts = in_loop(work)
    assert read_texts == ["一", "三", "四"] and counts.given_up == 1 and counts.refused == 1


def test_a_small_request_does_not_wait_for_all_of_a_big_one():
    order = []

    def read(given, questions):
        order.extend(given)
        return itself(given, questions)

    async def work():
        queue = BatchQueue(read, batch=2, most=99)
        big = asyncio.create_task(queue.ask([f"big {number}" for number in range(8)], None))
        await asyncio.sleep(0)
        small = asyncio.create_task(queue.ask(["small"], None))
        await asyncio.sleep(0)
        await queue.start()
        await asyncio.gather(big, small)
        await queue.stop()

    in_loop(work)
    assert order.index("small") == 1 and [one for one in order if one != "small"] == [f"big {number}" for number in range(8)]


def test_what_waits_is_read_before_the_end():
    async def work():
        queue = BatchQueue(itself, batch=2, most=99)
        await queue.start()
        asked = [asyncio.create_task(queue.ask([str(number)] * 3, None)) for number in range(4)]
        await asyncio.sleep(0)
        await queue.stop()
        assert all(one.done() for one in asked) or await asyncio.gather(*asked)
        return [one.result() for one in asked]

    assert in_loop(work) == [itself([str(number)] * 3, None) for number in range(4)]
