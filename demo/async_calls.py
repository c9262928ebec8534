"""Awaits calls from asyncio: thousands at once, without a thread for each.

Start `simpledist-worker fns` in this folder, then run this. Without a worker it runs here.
"""

from __future__ import annotations

import asyncio

import fns

import simpledist


async def main() -> None:
    with simpledist.connect() as client:
        fib = simpledist.worker_function(client, "fib", fns.fib)
        print(sum(await asyncio.gather(*(fib.submit(n % 20) for n in range(2000)))))

        # A call of any function, through an executor; cancelling the await cancels the call.
        loop = asyncio.get_running_loop()
        print(await loop.run_in_executor(client.executor(), fns.primes, 0, 1000))
        try:
            await asyncio.wait_for(fib.submit(32), timeout=0.1)
        except asyncio.TimeoutError:
            print("too slow: cancelled")


if __name__ == "__main__":
    asyncio.run(main())
