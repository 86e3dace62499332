"""The places of thread pools: how many there are, and how sign-ins share them."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from types import SimpleNamespace

import pytest

from anyscale.errors import NotFound, Overloaded
from anyscale.server.http import thread_pools
from anyscale.server.http.thread_pools import BoundedThreadPool, LoginThreadPool, ThreadPools

THREADS, WAITING = 8, 40
#: of known clients, and of unknown ones
PLACES = THREADS + WAITING


class Pool:
    """A pool for sign-ins, each of which lasts until the test ends."""

    def __init__(self) -> None:
        self._pool = LoginThreadPool(THREADS, WAITING)
        self.end = threading.Event()
        self._tasks: list[Awaitable[object]] = []

    async def sign_in(self, address: str, *, is_known: bool = False) -> bool:
        """Start a sign-in; return whether it got a place."""
        task = asyncio.create_task(self._pool.run(self.end.wait, address, is_known=is_known))
        await asyncio.sleep(0)
        if task.done():
            with pytest.raises(Overloaded):
                task.result()
            return False
        self._tasks.append(task)
        return True

    async def fill(self, addresses: list[str]) -> int:
        """Start sign-ins of unknown clients; return how many got a place."""
        return sum([await self.sign_in(address) for address in addresses])

    async def finish(self) -> None:
        self.end.set()
        await asyncio.gather(*self._tasks)


def in_pool(test: Callable[[Pool], Awaitable[None]]) -> None:
    async def run() -> None:
        pool = Pool()
        try:
            await test(pool)
        finally:
            await pool.finish()

    asyncio.run(run())


def one_ipv6_site(count: int) -> list[str]:
    return [f"2001:db8:1:{number:x}::1" for number in range(count)]


def many_sites(count: int) -> list[str]:
    return [f"2001:db8:{number:x}::1" for number in range(count)]


@pytest.mark.parametrize(
    "addresses",
    [
        ["192.0.2.1"] * 150,
        [f"192.0.2.{number}" for number in range(150)],
        one_ipv6_site(150),
        ["2001:db8:1:2::1"] * 150,
        ["a socket"] * 150,
    ],
)
def test_one_network_gets_half_of_the_places_and_another_one_half_of_the_rest(
    addresses: list[str],
) -> None:
    async def test(pool: Pool) -> None:
        assert await pool.fill(addresses) == PLACES // 2
        assert await pool.fill(["198.51.100.1"] * 150) == PLACES // 4
        assert await pool.sign_in("203.0.113.1")

    in_pool(test)


def test_unknown_clients_of_many_networks_take_no_place_of_a_known_one() -> None:
    async def test(pool: Pool) -> None:
        assert await pool.fill(many_sites(150)) == PLACES
        assert not await pool.sign_in("198.51.100.1")
        assert await pool.sign_in("198.51.100.1", is_known=True)

    in_pool(test)


def test_a_known_client_of_a_flooded_network_gets_a_place() -> None:
    async def test(pool: Pool) -> None:
        await pool.fill(one_ipv6_site(150))
        await pool.fill(many_sites(150))
        assert await pool.sign_in("2001:db8:1:7::1", is_known=True)

    in_pool(test)


def test_known_clients_of_one_network_leave_places_to_those_of_others() -> None:
    async def test(pool: Pool) -> None:
        known = [await pool.sign_in("192.0.2.1", is_known=True) for _ in range(50)]
        assert sum(known) == PLACES // 2
        assert await pool.sign_in("198.51.100.1", is_known=True)

    in_pool(test)


def test_a_known_client_does_not_wait_for_unknown_ones() -> None:
    pool, end = LoginThreadPool(1, 10), threading.Event()

    async def test() -> None:
        unknown = [
            asyncio.create_task(pool.run(end.wait, site, is_known=False)) for site in many_sites(5)
        ]
        known = pool.run(threading.get_ident, "198.51.100.1", is_known=True)
        await asyncio.wait_for(known, 10)
        assert not any(task.done() for task in unknown)
        end.set()
        await asyncio.gather(*unknown)

    asyncio.run(test())


def test_a_place_is_free_again_after_the_sign_in() -> None:
    async def test(pool: Pool) -> None:
        assert await pool.fill(["192.0.2.1"] * 150) == PLACES // 2
        await pool.finish()
        pool.end.clear()
        assert await pool.fill(["192.0.2.1"] * 150) == PLACES // 2

    in_pool(test)


def test_a_sign_in_that_fails_or_is_cancelled_leaves_its_place() -> None:
    pool, end = LoginThreadPool(1, 1), threading.Event()

    def fail() -> None:
        raise NotFound("there is none")

    async def test() -> None:
        for _ in range(5):
            with pytest.raises(NotFound):
                await pool.run(fail, "192.0.2.1", is_known=False)
        for _ in range(5):
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(pool.run(end.wait, "192.0.2.1", is_known=False), 0.01)

    asyncio.run(test())
    end.set()


def test_a_pool_takes_as_many_calls_as_it_has_threads_and_waiting_places() -> None:
    async def test() -> None:
        end, pool = threading.Event(), BoundedThreadPool("test", 2, 3)
        tasks = [asyncio.create_task(pool.run(end.wait)) for _ in range(7)]
        await asyncio.sleep(0)
        end.set()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert [isinstance(result, Overloaded) for result in results] == [False] * 5 + [True] * 2
        assert pool.free == 5

    asyncio.run(test())


def test_pools_are_busy_while_a_call_lasts_and_a_moment_longer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pools, end, now = ThreadPools(), threading.Event(), [0.0]
    monkeypatch.setattr(thread_pools, "time", SimpleNamespace(monotonic=lambda: now[0]))

    async def test() -> None:
        assert not pools.are_busy()
        call = asyncio.create_task(pools.read.run(end.wait))
        await asyncio.sleep(0)
        assert pools.are_busy()
        end.set()
        await call
        now[0] += 0.1
        assert pools.are_busy()
        now[0] += 0.2
        assert not pools.are_busy()

    asyncio.run(test())


def test_a_call_that_must_not_fail_waits_for_a_place_of_a_full_pool() -> None:
    async def test() -> None:
        pool = BoundedThreadPool("read", threads=1, waiting=0)
        started, end = threading.Event(), threading.Event()

        def last() -> bool:
            started.set()
            return end.wait()

        running = asyncio.create_task(pool.run(last))
        await asyncio.to_thread(started.wait)
        waiting = asyncio.create_task(pool.run_when_free(lambda: "done"))
        with pytest.raises(Overloaded):
            await pool.run(lambda: "refused")
        end.set()
        assert (await running, await waiting) == (True, "done")

    asyncio.run(test())


def test_there_are_at_most_seven_pools() -> None:
    assert len(vars(ThreadPools())) <= 7
